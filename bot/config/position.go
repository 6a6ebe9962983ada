package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positions knows the line of every table and key, by dotted path; elements of
// arrays of tables are numbered: "person[1].name".
type positions struct {
	lines map[string]int
	order []string // paths of tables, in the order of the file
}

// locate reads positions from raw. What does not parse is left out: decoding
// reports it.
func locate(raw []byte) *positions {
	p := &positions{lines: map[string]int{}}
	var parser unstable.Parser
	parser.Reset(raw)
	prefix := ""
	counts := map[string]int{}
	for parser.NextExpression() {
		e := parser.Expression()
		switch e.Kind {
		case unstable.Table:
			prefix, _ = p.key(&parser, e, "", counts)
			p.order = append(p.order, prefix)
		case unstable.ArrayTable:
			name, line := p.key(&parser, e, "", counts)
			prefix = fmt.Sprintf("%s[%d]", name, counts[name])
			counts[name]++
			p.lines[prefix] = line
		case unstable.KeyValue:
			name, _ := p.key(&parser, e, prefix, counts)
			p.inline(&parser, e.Value(), name, counts)
		}
	}
	return p
}

// key notes the line of the key of e below prefix and gives its path.
func (p *positions) key(parser *unstable.Parser, e *unstable.Node, prefix string, counts map[string]int) (string, int) {
	parts := []string{}
	if prefix != "" {
		parts = append(parts, prefix)
	}
	line := 0
	it := e.Key()
	for it.Next() {
		n := it.Node()
		parts = append(parts, string(n.Data))
		if line == 0 {
			line = parser.Shape(n.Raw).Start.Line
		}
	}
	path := strings.Join(parts, ".")
	if _, known := p.lines[path]; !known {
		p.lines[path] = line
	}
	return path, line
}

// inline notes the keys of an inline table.
func (p *positions) inline(parser *unstable.Parser, v *unstable.Node, prefix string, counts map[string]int) {
	if v == nil || v.Kind != unstable.InlineTable {
		return
	}
	it := v.Children()
	for it.Next() {
		n := it.Node()
		name, _ := p.key(parser, n, prefix, counts)
		p.inline(parser, n.Value(), name, counts)
	}
}

// line gives the line of a path, or of the nearest table around it.
func (p *positions) line(path string) int {
	for path != "" {
		if n := p.lines[path]; n > 0 {
			return n
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			break
		}
		path = path[:i]
	}
	return 1
}
