package fakegithub

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// contract is GitHub's own description of its API.
type contract struct{ doc *openapi3.T }

var (
	loading sync.Mutex
	loaded  = map[string]*contract{} // it is large, and only read
)

func loadContract(path string) (*contract, error) {
	loading.Lock()
	defer loading.Unlock()
	if c := loaded[path]; c != nil {
		return c, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	loaded[path] = &contract{doc}
	return loaded[path], nil
}

// operation finds what a route's pattern is in the description.
func (c *contract) operation(pattern string) (*openapi3.Operation, string) {
	method, path, _ := strings.Cut(pattern, " ")
	path = strings.ReplaceAll(path, "...}", "}")
	item := c.doc.Paths.Find(path)
	if item == nil {
		return nil, pattern + " is not described"
	}
	op := item.GetOperation(method)
	if op == nil {
		return nil, pattern + " is not described"
	}
	return op, ""
}

// request says what is wrong with a request.
func (c *contract) request(pattern string, a ask) (wrong []string) {
	op, missing := c.operation(pattern)
	if op == nil {
		return []string{missing}
	}
	known := map[string]*openapi3.Parameter{}
	for _, p := range op.Parameters {
		if p.Value.In == "query" {
			known[p.Value.Name] = p.Value
		}
	}
	for name, values := range a.query {
		p := known[name]
		if p == nil {
			wrong = append(wrong, fmt.Sprintf("%s has no parameter %s", pattern, name))
			continue
		}
		var value any = values[0]
		if name == "created" { // its text has it as a range, and its format as one time
			value = strings.TrimPrefix(values[0], ">=")
		}
		if p.Schema.Value.Type.Is("integer") {
			n, err := strconv.Atoi(values[0])
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %s is no number", pattern, name))
				continue
			}
			value = float64(n)
		}
		if err := p.Schema.Value.VisitJSON(value); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %s: %v", pattern, name, err))
		}
	}
	if a.body == nil {
		if op.RequestBody != nil && op.RequestBody.Value.Required {
			wrong = append(wrong, pattern+" needs a body")
		}
		return wrong
	}
	if op.RequestBody == nil {
		return append(wrong, pattern+" takes no body")
	}
	schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
	for name := range a.body { // GitHub lets unknown ones pass, and its users should not
		if schema.Properties[name] == nil {
			wrong = append(wrong, fmt.Sprintf("%s has no field %s", pattern, name))
		}
	}
	if err := schema.VisitJSON(any(a.body)); err != nil {
		wrong = append(wrong, fmt.Sprintf("%s: %v", pattern, err))
	}
	return wrong
}

// answer completes a body with the fields that the description requires and
// nobody here reads, and says what is wrong with the rest.
func (c *contract) answer(pattern string, status int, body any) (any, []string) {
	op, missing := c.operation(pattern)
	if op == nil {
		return body, []string{missing}
	}
	var generic any
	raw, err := json.Marshal(body)
	if err == nil {
		err = json.Unmarshal(raw, &generic)
	}
	if err != nil {
		return body, []string{err.Error()}
	}
	resp := op.Responses.Value(strconv.Itoa(status))
	if resp == nil {
		if status >= 400 {
			return body, nil // the description leaves many errors out
		}
		return body, []string{fmt.Sprintf("%s does not answer %d", pattern, status)}
	}
	media := resp.Value.Content.Get("application/json")
	if media == nil || media.Schema == nil {
		if status >= 400 {
			return body, nil
		}
		return body, []string{fmt.Sprintf("%s has no body with %d", pattern, status)}
	}
	schema := media.Schema.Value
	generic = complete(schema, generic, 0)
	if err := schema.VisitJSON(generic); err != nil {
		return generic, []string{fmt.Sprintf("%s answers %d: %v", pattern, status, err)}
	}
	return generic, nil
}

// complete adds what is required to a value.
func complete(s *openapi3.Schema, value any, depth int) any {
	if depth > 12 {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		for _, part := range append(append(openapi3.SchemaRefs{}, s.AllOf...), first(s)...) {
			complete(part.Value, v, depth+1)
		}
		for _, name := range s.Required {
			if _, has := v[name]; !has && s.Properties[name] != nil {
				v[name] = zero(s.Properties[name].Value, depth+1)
			}
		}
		for name, p := range s.Properties {
			if inner, has := v[name]; has {
				v[name] = complete(p.Value, inner, depth+1)
			}
		}
	case []any:
		if s.Items != nil {
			for i := range v {
				v[i] = complete(s.Items.Value, v[i], depth+1)
			}
		}
	}
	return value
}

// first gives the first of several forms.
func first(s *openapi3.Schema) openapi3.SchemaRefs {
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		if len(list) > 0 {
			return list[:1]
		}
	}
	return nil
}

// zero makes a value of a schema.
func zero(s *openapi3.Schema, depth int) any {
	switch {
	case s.Nullable:
		return nil
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(first(s)) > 0:
		return zero(first(s)[0].Value, depth+1)
	case s.Type.Is("string"):
		switch s.Format {
		case "uri":
			return "https://github.invalid/"
		case "date-time":
			return "2026-01-01T00:00:00Z"
		}
		return ""
	case s.Type.Is("integer"), s.Type.Is("number"):
		return float64(1)
	case s.Type.Is("boolean"):
		return false
	case s.Type.Is("array"):
		return []any{}
	}
	return complete(s, map[string]any{}, depth+1)
}
