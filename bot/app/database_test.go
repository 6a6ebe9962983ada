package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// TestDatabaseByReference: the address is read from where it is kept, and what
// is wrong with it is said without repeating it.
func TestDatabaseByReference(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	t.Setenv("GOOD_DB", "postgresql://bot:hunter2@db/ops")
	t.Setenv("BAD_DB", "hunter2")
	for _, c := range []struct{ database, want, say string }{
		{"sqlite:/srv/q.db", "sqlite:/srv/q.db", ""},
		{"postgres://bot@db/ops", "postgres://bot@db/ops", ""},
		{"env:GOOD_DB", "postgres://bot:hunter2@db/ops", ""},
		{put("good", "postgres://bot:hunter2@db/ops\n"), "postgres://bot:hunter2@db/ops", ""},
		{"env:NO_SUCH_DB", "", "NO_SUCH_DB, which is empty or not set"},
		{"env:BAD_DB", "", "what env:BAD_DB holds is no address of a database; expected postgres://"},
		{put("sqlite", "sqlite:x.db"), "", "is no address of a database"},
		{put("long", "postgres://"+strings.Repeat("x", maxAddress)), "", "is no address of a database"},
		{"file:" + filepath.Join(dir, "gone"), "", "which cannot be read"},
	} {
		got, err := address(c.database, &bot.Secrets{})
		if c.say == "" {
			if err != nil || got != c.want {
				t.Errorf("%s gives %q, %v", c.database, got, err)
			}
			continue
		}
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), c.say) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s gives %v, want %q", c.database, err, c.say)
		}
	}
}
