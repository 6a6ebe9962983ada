package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/bot/config"
)

// TestCommon tells configurations apart by what replicas must agree on, and by
// nothing that is each one's own.
func TestCommon(t *testing.T) {
	of := func(text string) string {
		t.Helper()
		dir := t.TempDir()
		write(t, dir, "config.toml", text)
		c, err := config.Load(filepath.Join(dir, "config.toml"), known)
		if err != nil {
			t.Fatal(err)
		}
		return c.Common()
	}
	was := of(good)
	own := strings.NewReplacer("data/q.sock", "other.sock", "data/kept", "kept", "127.0.0.1:8080", "127.0.0.1:9090", `level = "info"`, `level = "debug"`)
	if other := "# a remark\n" + own.Replace(good); other == good || of(other) != was {
		t.Error("told apart by what is each replica's own")
	}
	for _, more := range []string{
		"[[grant]]\nroles = [\"sre\"]\npermissions = [\"halt\"]\n", "[[deny]]\nroles = [\"sre\"]\npermissions = [\"halt\"]\n",
		"[environment.lab]\n", "[service.shop.lab]\ndeploy = { provider = \"scripts\", argv = [\"./lab\"] }\n[environment.lab]\n",
		"[[freeze]]\nenvironments = [\"prod\"]\nevery = \"fri 16:00 - mon 08:00\"\n", "[[person]]\nname = \"b\"\naccounts = [\"os:2\"]\n",
	} {
		if of(good+"\n"+more) == was {
			t.Errorf("not told apart by\n%s", more)
		}
	}
}
