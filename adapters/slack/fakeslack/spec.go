package fakeslack

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// spec is what the vendor's description says of one method's arguments.
type spec struct {
	args map[string]bool // name -> required
}

// readSpecs reads the vendor's method descriptions in dir.
func readSpecs(dir string) (map[string]spec, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s holds no method descriptions", dir)
	}
	specs := map[string]spec{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var d struct {
			Args map[string]struct {
				Required bool `json:"required"`
			} `json:"args"`
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		sp := spec{args: map[string]bool{}}
		for name, a := range d.Args {
			sp.args[name] = a.Required
		}
		specs[strings.TrimSuffix(filepath.Base(path), ".json")] = sp
	}
	return specs, nil
}

// checkArguments notes arguments that the method does not have, and missing
// ones.
func (s *Server) checkArguments(method string, args url.Values) {
	sp, described := s.specs[method]
	if !described || len(sp.args) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range args {
		if _, ok := sp.args[name]; !ok {
			s.note("%s has no argument %q", method, name)
		}
	}
	for name, required := range sp.args {
		if required && !args.Has(name) {
			s.note("%s needs the argument %q", method, name)
		}
	}
}
