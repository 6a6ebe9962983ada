package fakediscord

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// contract is Discord's own description of its API.
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
	tree, err := generic(raw)
	if err != nil {
		return nil, err
	}
	if raw, err = json.Marshal(enumerated(tree)); err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	loaded[path] = &contract{doc}
	return loaded[path], nil
}

// enumerated writes a choice of constants, which the library does not check, as an
// enumeration.
func enumerated(tree any) any {
	switch v := tree.(type) {
	case []any:
		for i := range v {
			v[i] = enumerated(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = enumerated(v[key])
		}
		of, _ := v["oneOf"].([]any)
		var constants []any
		for _, o := range of {
			if c, is := o.(map[string]any); is && c["const"] != nil {
				constants = append(constants, c["const"])
			}
		}
		if len(of) > 0 && len(constants) == len(of) {
			delete(v, "oneOf")
			v["enum"] = constants
		}
	}
	return tree
}

// checkContract notes what of a request the vendor's description does not have.
func (s *Server) checkContract(pattern string, a ask) {
	if s.contract == nil {
		return
	}
	wrong := s.contract.request(pattern, a)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range wrong {
		s.note("%s", w)
	}
}

// request says what is wrong with a request.
func (c *contract) request(pattern string, a ask) []string {
	verb, path, _ := strings.Cut(pattern, " ")
	item := c.doc.Paths.Find(path)
	if item == nil || item.GetOperation(verb) == nil {
		return []string{pattern + " is not described"}
	}
	op := item.GetOperation(verb)
	var wrong []string
	for name := range a.query {
		known := false
		for _, p := range op.Parameters {
			known = known || p.Value.In == "query" && p.Value.Name == name
		}
		if !known {
			wrong = append(wrong, fmt.Sprintf("%s has no parameter %s", pattern, name))
		}
	}
	if a.value == nil {
		if op.RequestBody != nil && op.RequestBody.Value.Required {
			wrong = append(wrong, pattern+" needs a body")
		}
		return wrong
	}
	if op.RequestBody == nil {
		return append(wrong, pattern+" takes no body")
	}
	media := op.RequestBody.Value.Content.Get("application/json")
	if media == nil || media.Schema == nil {
		return append(wrong, pattern+" takes no JSON")
	}
	schema := media.Schema.Value
	if err := conforms(schema, a.value); err != nil {
		wrong = append(wrong, fmt.Sprintf("%s: %v", pattern, err))
	}
	return wrong
}

// conforms checks a value, and that no object in it has fields that its
// description does not: Discord lets them pass, and nobody should send them.
func conforms(s *openapi3.Schema, value any) error {
	if err := s.VisitJSON(value); err != nil {
		return short(err)
	}
	return known(s, value, "")
}

// known finds fields that are not described.
func known(s *openapi3.Schema, value any, at string) error {
	switch v := value.(type) {
	case map[string]any:
		forms := variants(s)
		var surplus error
		for _, form := range forms {
			if form.VisitJSON(value) != nil {
				continue // it is of another form, and one was found to fit
			}
			if surplus = knownFields(form, v, at); surplus == nil {
				return nil
			}
		}
		return surplus
	case []any:
		for _, form := range variants(s) {
			if form.Items == nil {
				continue
			}
			for i, e := range v {
				if err := known(form.Items.Value, e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// variants gives the forms that a value of a schema may have.
func variants(s *openapi3.Schema) []*openapi3.Schema {
	var forms []*openapi3.Schema
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		for _, form := range list {
			forms = append(forms, variants(form.Value)...)
		}
	}
	if len(forms) == 0 {
		return []*openapi3.Schema{s}
	}
	return forms
}

func knownFields(s *openapi3.Schema, v map[string]any, at string) error {
	if s.AdditionalProperties.Schema != nil {
		return nil
	}
	fields := openapi3.Schemas{}
	for _, part := range append([]*openapi3.SchemaRef{{Value: s}}, s.AllOf...) {
		for name, p := range part.Value.Properties {
			fields[name] = p
		}
	}
	for name, inner := range v {
		p := fields[name]
		// The library's way of leaving a field out: it writes the empty value of some
		// that a variant does not have, and Discord passes over those.
		if p == nil && (inner == nil || inner == false || inner == "") {
			continue
		}
		if p == nil {
			return fmt.Errorf("%s has no field %q", strings.TrimPrefix(at, "."), name)
		}
		if err := known(p.Value, inner, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

// short leaves out the schema that an error quotes, which fills a screen.
func short(err error) error {
	text := err.Error()
	if i := strings.Index(text, "\nSchema:"); i > 0 {
		var value string
		if j := strings.Index(text, "\nValue:"); j > 0 {
			value = text[j:min(len(text), j+400)]
		}
		text = text[:i] + value
	}
	return fmt.Errorf("%s", text)
}

// generic gives a body as the checks read it.
func generic(raw []byte) (any, error) {
	var v any
	err := json.Unmarshal(raw, &v)
	return v, err
}
