package config

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// node is the place of one table, key or element of the file. The tree of
// nodes has the shape of the decoded values beside it: values say what is
// written, nodes say where.
type node struct {
	parent   *node
	src      *source // the file it is written in
	via      string  // the target that takes it from its template; "" where it is written
	key      string  // "" for the root and for elements
	header   string  // "[", "[[" for what a header opens; "" for the rest
	line     int     // from 1; 0 for the root
	column   int     // from 1
	children map[string]*node
	elems    []*node
}

// source is one file of the configuration.
type source struct {
	name  string // as people are told it: "config.toml", "conf.d/people.toml"
	index int    // its place among the files, from 0
}

// read parses a file. A file that is not TOML gives its one fault.
func read(src *source, raw []byte) (map[string]any, *node, error) {
	values := map[string]any{}
	err := toml.Unmarshal(raw, &values)
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		return values, places(src, raw), nil
	case errors.As(err, &wrong):
		f := Fault{File: src.name, order: src.index}
		f.Line, f.Column = wrong.Position()
		// A repeated key is told apart by its text alone: the library has no
		// type for it.
		if key := wrong.Key(); len(key) > 0 && strings.Contains(wrong.Error(), "already") {
			f.What, f.Remedy = strings.Join(key, ".")+" stands here a second time", "leave one"
		} else {
			f.What = "this is not TOML: " + strings.TrimPrefix(wrong.Error(), "toml: ")
		}
		return nil, nil, Errors{f}
	}
	return nil, nil, Errors{{File: src.name, order: src.index, What: "this is not TOML"}}
}

// places reads the tree of nodes from a file that parses.
func places(src *source, raw []byte) *node {
	b := builder{src: src, root: &node{src: src}, starts: lineStarts(raw)}
	var parser unstable.Parser
	parser.Reset(raw)
	table := b.root
	for parser.NextExpression() {
		e := parser.Expression()
		switch e.Kind {
		case unstable.Table:
			table = b.descend(b.root, e.Key())
			table.header = "["
		case unstable.ArrayTable:
			list := b.descend(b.root, e.Key())
			table = &node{parent: list, src: src, header: "[[", line: b.line, column: b.column}
			list.elems = append(list.elems, table)
		case unstable.KeyValue:
			b.value(b.descend(table, e.Key()), e.Value())
		}
	}
	return b.root
}

type builder struct {
	src    *source
	root   *node
	starts []int // offset of each line's first byte
	// The place of the key that descend came to last.
	line, column int
}

// lineStarts gives the offset at which each line begins, so that a position
// costs no pass over the file.
func lineStarts(raw []byte) []int {
	starts := []int{0}
	for i, c := range raw {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// place gives where a range begins; 0 for what the library has no range for.
func (b *builder) place(r unstable.Range) (line, column int) {
	if r.Length == 0 {
		return 0, 0
	}
	line = sort.SearchInts(b.starts, int(r.Offset)+1)
	return line, int(r.Offset) - b.starts[line-1] + 1
}

// descend follows a dotted key from n. On its way it enters the newest element
// of an array of tables, as TOML's headers do.
func (b *builder) descend(n *node, key unstable.Iterator) *node {
	for key.Next() {
		if len(n.elems) > 0 {
			n = n.elems[len(n.elems)-1]
		}
		part := key.Node()
		name := string(part.Data)
		child := n.children[name]
		if child == nil {
			child = &node{parent: n, src: b.src, key: name}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[name] = child
		}
		b.line, b.column = b.place(part.Raw)
		if child.line == 0 {
			child.line, child.column = b.line, b.column
		}
		n = child
	}
	return n
}

// value notes what stands inside an inline table or a list.
func (b *builder) value(n *node, v *unstable.Node) {
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			b.value(b.descend(n, it.Node().Key()), it.Node().Value())
		}
	case unstable.Array:
		for it := v.Children(); it.Next(); {
			e := &node{parent: n, src: b.src}
			e.line, e.column = b.place(it.Node().Raw)
			n.elems = append(n.elems, e)
			b.value(e, it.Node())
		}
	}
}

// has reports whether the key below n is written.
func (n *node) has(keys ...string) bool {
	for _, key := range keys {
		if n = n.children[key]; n == nil {
			return false
		}
	}
	return true
}

// at gives the place of a key below n, or of the nearest table around it that
// is written.
func (n *node) at(keys ...string) *node {
	for _, key := range keys {
		child := n.children[key]
		if child == nil {
			return n
		}
		n = child
	}
	return n
}

// elem gives the place of the i-th element, or of the list.
func (n *node) elem(i int) *node {
	if i < len(n.elems) {
		return n.elems[i]
	}
	return n
}

// path gives the dotted path as written: "bot.database". Elements go by their
// list's name.
func (n *node) path() string {
	var parts []string
	for ; n != nil; n = n.parent {
		if n.key != "" || n.parent != nil && len(n.parent.elems) == 0 {
			parts = append([]string{quoted(n.key)}, parts...)
		}
	}
	return strings.Join(parts, ".")
}

// table gives the table as a person would point at it: "[bot]", "[[grant]]",
// "require.approvals" for one that is written inline.
func (n *node) table() string {
	switch n.header {
	case "[":
		return "[" + n.path() + "]"
	case "[[":
		return "[[" + n.path() + "]]"
	}
	return n.path()
}

// where gives "config.toml:41"; file is what it is called that has no place.
func (n *node) where(file string) string {
	for n.line == 0 && n.parent != nil {
		n = n.parent
	}
	if n.src != nil {
		file = n.src.name
	}
	if n.line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, n.line)
}

// quoted gives a key as TOML wants it written.
func quoted(key string) string {
	bare := key != ""
	for _, r := range key {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			bare = false
		}
	}
	if bare {
		return key
	}
	return strconv.Quote(key)
}
