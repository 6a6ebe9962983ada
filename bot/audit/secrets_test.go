package audit

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// TestSecretsAreHidden from the moment they are read, the one before a rotation
// too, also where a program prints them in JSON, in a URL or in base64.
func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	var secrets bot.Secrets
	l := New(Config{Secrets: &secrets})
	s, err := secrets.Open("file:"+path, "")
	if err != nil {
		t.Fatal(err)
	}
	first, second := `pl/ain "one" & only`, "the-next-of-them"
	if got := l.Redact("it is " + first); got != "it is "+first {
		t.Errorf("hidden before anybody read it: %s", got)
	}
	for i, value := range []string{first, second} {
		if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Value(); err != nil || got != value {
			t.Fatalf("value is %q, %v", got, err)
		}
		for _, known := range []string{first, second}[:i+1] {
			for _, said := range []string{"it is " + known + ".", `{"token":"x` + strings.ReplaceAll(known, `"`, `\"`) + `"}`,
				"basic " + base64.StdEncoding.EncodeToString([]byte("bot:"+known)), known + known} {
				got := l.Redact(said)
				if strings.Contains(got, known) || strings.Contains(got, `\"one`) || strings.Contains(got, base64.StdEncoding.EncodeToString([]byte(known))[4:12]) || !strings.Contains(got, Redacted) {
					t.Errorf("%q is shown as %q", said, got)
				}
			}
		}
	}
	if got := l.Redact("another text"); got != "another text" {
		t.Errorf("what is no secret is shown as %q", got)
	}
}
