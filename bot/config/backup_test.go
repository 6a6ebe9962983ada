package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// backedUp gives good with a backup table below deploy.
func backedUp(t *testing.T, table string) string {
	t.Helper()
	deploy := `deploy = { provider = "scripts", argv = ["./deploy"] }`
	return edited(t, deploy, deploy+"\nbackup = "+table)
}

func TestGoodBackup(t *testing.T) {
	c, err := load(t, backedUp(t, `{ provider = "scripts", path = "backups", rpo = "10m", rto = "2m", every = "168h" }`))
	if err != nil {
		t.Fatal(err)
	}
	b := c.Services[0].Backup
	if b == nil || b.Provider != "scripts" || b.RPO != 10*time.Minute || b.RTO != 2*time.Minute || b.Every != 168*time.Hour {
		t.Fatalf("it gives %+v", b)
	}
	var theirs struct {
		Path string `toml:"path"`
	}
	if err := b.Raw.Decode(&theirs); err != nil || theirs.Path != "backups" {
		t.Errorf("it leaves the provider %+v, %v", theirs, err)
	}
	c, err = load(t, backedUp(t, `{ provider = "scripts" }`))
	if err != nil {
		t.Fatal(err)
	}
	if b := c.Services[0].Backup; b.RPO != 0 || b.RTO != 0 || b.Every != 0 {
		t.Errorf("what is not said is %+v", b)
	}
}

func TestFaultyBackup(t *testing.T) {
	for _, r := range []struct{ table, want string }{
		{`"scripts"`, `service.shop.prod.backup takes a table, such as { provider = "NAME" }; it is a text`},
		{`{ rpo = "10m" }`, `backup of shop/prod names no provider; there is scripts alone`},
		{`{ provider = "script" }`, `backup of shop/prod names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
		{`{ provider = "scripts", rpo = "soon" }`, `service.shop.prod.backup.rpo takes a time from 1s to 8760h, such as "24h"; it is "soon"`},
		{`{ provider = "scripts", rpo = "0s" }`, `service.shop.prod.backup.rpo takes a time from 1s to 8760h, such as "24h"; it is "0s"`},
		{`{ provider = "scripts", rto = 5 }`, `service.shop.prod.backup.rto takes a text in quotes; it is a whole number`},
		{`{ provider = "scripts", every = "" }`, `service.shop.prod.backup.every is empty; give it a value or take it away`},
	} {
		t.Run(r.table, func(t *testing.T) {
			text := backedUp(t, r.table)
			before, _, _ := strings.Cut(text, "\nbackup = ")
			says(t, text, fmt.Sprintf("config.toml:%d: %s", strings.Count(before, "\n")+2, r.want))
		})
	}
}
