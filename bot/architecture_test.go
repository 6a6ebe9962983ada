package bot_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "quarterdeck"

// imports gives, for every package folder of the tree, what its files import,
// tests apart.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	root := ".."
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && p != root {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(rel)
		found[dir] = append(found[dir], "")
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[dir] = append(found[dir], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("only %d packages found: the walk looks at the wrong place", len(found))
	}
	return found
}

// own gives the folder of an import inside the module.
func own(name string) (dir string, ok bool) {
	return strings.CutPrefix(name, module+"/")
}

func isStandard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".") && first != module
}

func under(dir string, parents ...string) bool {
	for _, p := range parents {
		if dir == p || strings.HasPrefix(dir, p+"/") {
			return true
		}
	}
	return false
}

// TestImportRule keeps the tree's shape: the hub imports the standard library
// alone, spokes import the hub and never one another, and only the two tables
// and the mains join them.
func TestImportRule(t *testing.T) {
	mains := []string{"bot/quarterdeck", "bot/demo", "bot/bench"}
	ports := []string{"bot", "bot/provider", "bot/store", "bot/store/sqlstore", "bot/nearest", "bot/memo"}
	for dir, names := range imports(t) {
		for _, name := range names {
			if name == "" {
				continue
			}
			to, inside := own(name)
			bad := func(rule string) { t.Errorf("%s imports %s: %s", dir, name, rule) }
			allowed := func(list ...string) bool {
				for _, l := range list {
					if to == l {
						return true
					}
				}
				return under(to, dir)
			}
			switch {
			case dir == "bot":
				if !isStandard(name) {
					bad("the hub imports the standard library alone")
				}
			case dir == "bot/provider" || dir == "bot/store":
				if inside && to != "bot" || !inside && !isStandard(name) {
					bad("ports import the hub and the standard library alone")
				}
			case dir == "adapters" || dir == "commands" || under(dir, mains...):
				// the tables and the mains join the spokes
			case under(dir, "auth"):
				if inside && !allowed("bot", "bot/nearest") && !under(to, "auth") {
					bad("auth imports the hub alone")
				}
			case under(dir, "adapters"):
				if inside && !allowed(ports...) {
					bad("adapters import the hub and never one another")
				}
			case under(dir, "commands"):
				if inside && !allowed("bot", "bot/provider", "bot/store", "bot/release", "bot/capacity", "bot/backup", "bot/flag", "bot/guard", "bot/panel", "bot/chart", "bot/action", "bot/stepup", "bot/digest", "bot/nearest", "bot/page", "bot/oncall") {
					bad("commands import the hub and never one another")
				}
			case inside && under(to, "adapters", "commands"):
				bad("the core knows no adapter and no command")
			case inside && under(to, "auth") && dir != "bot/app":
				bad("only the assembly joins the policy")
			}
		}
	}
}

// TestDemoLinksNoSDK keeps a newcomer's first build small.
func TestDemoLinksNoSDK(t *testing.T) {
	all := imports(t)
	seen := map[string]bool{}
	var visit func(dir, via string)
	visit = func(dir, via string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		for _, name := range all[dir] {
			for _, sdk := range []string{"github.com/slack-go", "github.com/bwmarrin/discordgo", "github.com/aws", "github.com/google/go-github", "github.com/jackc"} {
				if strings.HasPrefix(name, sdk) {
					t.Errorf("the demo links %s, through %s", name, via+" > "+dir)
				}
			}
			if to, inside := own(name); inside {
				visit(to, via+" > "+dir)
			}
		}
	}
	visit("bot/demo", "")
	if !seen["bot/app"] {
		t.Error("the demo does not use the production assembly")
	}
	if seen["adapters"] {
		t.Error("the demo uses the table of all adapters instead of its own")
	}
}

// TestNoLongFiles keeps every file readable in one sitting.
func TestNoLongFiles(t *testing.T) {
	const most = 700
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(p) != ".go" {
			return err
		}
		raw, err := os.ReadFile(p)
		if n := strings.Count(string(raw), "\n"); n > most {
			t.Errorf("%s has %d lines, more than %d", p, n, most)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
