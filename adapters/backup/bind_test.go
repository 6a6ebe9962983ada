package backupprovider

import (
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// What cannot be meant is refused before anything is restored, in a sentence.
func TestBindRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                  `names no folder; add path = "backups/shop"`,
		`path = "b"`:                        `has engine = ""; there are: files, mariadb, postgres, sqlite`,
		"path = \"b\"\nengine = \"oracle\"": `has engine = "oracle"; there are: files, mariadb, postgres, sqlite`,
		"path = \"b\"\nengine = \"sqlite\"\nmatch = \"a/*\"":                                                                                       `has match = "a/*"; it takes what a name looks like`,
		"path = \"b\"\nengine = \"sqlite\"\nmatch = \"[\"":                                                                                         `has match = "["; it takes what a name looks like`,
		"path = \"b\"\nengine = \"files\"\nnewest = \"SELECT 1\"":                                                                                  `asks files what only a database can answer`,
		"path = \"b\"\nengine = \"sqlite\"\ntolerance = 1.5":                                                                                       `has tolerance = 1.5; it takes 0 to 0.99`,
		"path = \"b\"\nengine = \"sqlite\"\nsource = \"env:X\"":                                                                                    `has a source, which SQLite does not need`,
		"path = \"b\"\nengine = \"postgres\"\nsource = \"postgres://me:hunter22@db/shop\"":                                                         `has a source that is no reference`,
		"path = \"b\"\nengine = \"sqlite\"\nqueries = [{ name = \"n\", sql = \"SELECT 1\" }]":                                                      `has a query without name, sql or want`,
		"path = \"b\"\nengine = \"sqlite\"\nqueries = [{ name = \"n\", sql = \"SELECT 1\", want = \">many\" }]":                                    `wants ">many" of "n"; it takes a value, or a comparison with a number`,
		"path = \"b\"\nengine = \"sqlite\"\n[members.db]\nengine = \"sqlite\"\nfile = \"a.db\"":                                                    `has members, so engine, not_empty`,
		"path = \"b\"\n[members.db]\nengine = \"sqlite\"\nfile = \"../a.db\"":                                                                      `has file = "../a.db" of member db; it takes a path inside of the backup's folder`,
		"path = \"b\"\n[members.db]\nengine = \"sqlite\"\nfile = \"/etc/passwd\"":                                                                  `it takes a path inside of the backup's folder`,
		"path = \"b\"\n[members.\"../x\"]\nengine = \"sqlite\"\nfile = \"a\"":                                                                      `has a member "../x"; a name takes small letters, digits and dashes`,
		"path = \"b\"\nacross = [{ name = \"n\", member = \"db\", sql = \"x\", files = \"db\" }]\n[members.db]\nengine = \"sqlite\"\nfile = \"a\"": `looks for "n" in "db", which is no member with the engine files`,
		"path = \"b\"\nacross = [{ name = \"n\", member = \"up\", sql = \"x\", files = \"up\" }]\n[members.up]\nengine = \"files\"\nfile = \"a\"":  `asks "n" in "up", which is no member that is a database`,
	} {
		w := world{t.TempDir(), "", text}
		_, err := w.attach()
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter22") {
			t.Errorf("it tells the secret: %v", err)
		}
	}
	for text, want := range map[string]string{
		`reserve = "lots"`:               `"lots" is not a size; write it like 500MiB or 2GiB`,
		`reserve = "9999999TiB"`:         `is not a size`,
		`timeout = "-1s"`:                `"-1s" is not a positive duration`,
		`postgres = "postgres://u:p@h/"`: `postgres of provider files: a secret is written "env:NAME" or "file:PATH"`,
	} {
		_, err := Open(provider.Options{Name: "files", Raw: table{t.TempDir(), text}, State: "s"})
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"0", "0", true}, {"0", "1", false}, {"0", "", false}, {"yes", "yes", true}, {">0", "1", true}, {">0", "0", false}, {">=100", "100", true},
		{"<5", "4.5", true}, {"<=5", "6", false}, {">0", "", false}, {">0", "many", false},
	} {
		if ok, err := wanted(c.want, c.got); err != nil || ok != c.ok {
			t.Errorf("%q of %q: %v, %v", c.got, c.want, ok, err)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-11-21T11:59:30Z": "2026-11-21T11:59:30Z", "2026-11-21 11:59:30": "2026-11-21T11:59:30Z", "2026-11-21 12:59:30.5+01": "2026-11-21T11:59:30Z",
		"2026-11-21 12:59:30+01:00": "2026-11-21T11:59:30Z", "1795262370": "2026-11-21T11:59:30Z", "1795262370000": "2026-11-21T11:59:30Z", "2026-11-21": "2026-11-21T00:00:00Z",
	} {
		at, err := parseTime(text)
		if err != nil || at.Format("2006-01-02T15:04:05Z") != want {
			t.Errorf("%s is %v, %v, want %s", text, at, err, want)
		}
	}
	for _, text := range []string{"", "now", "-5", "0", "99999999999999999999", "tomorrow"} {
		if at, err := parseTime(text); err == nil {
			t.Errorf("%q is %v", text, at)
		}
	}
}

// A dump of statements is passed on but for what speaks of roles that are not here.
func TestOwnerless(t *testing.T) {
	t.Parallel()
	const in = "\\restrict abc\nSET a = 1;\nALTER TABLE public.orders OWNER TO shop;\nGRANT ALL ON TABLE public.orders TO shop;\n" +
		"COPY public.orders (id, note) FROM stdin;\n1\tGRANT ALL ON TABLE x TO y;\nALTER TABLE public.orders OWNER TO shop;\n\\restrict me\n\\.\n" +
		"CREATE FUNCTION f() RETURNS int AS $$\nGRANT ALL ON TABLE x TO y;\n$$ LANGUAGE sql;\nREVOKE ALL ON SCHEMA public FROM public;\n\\unrestrict abc\n-- end"
	const want = "SET a = 1;\n" +
		"COPY public.orders (id, note) FROM stdin;\n1\tGRANT ALL ON TABLE x TO y;\nALTER TABLE public.orders OWNER TO shop;\n\\restrict me\n\\.\n" +
		"CREATE FUNCTION f() RETURNS int AS $$\nGRANT ALL ON TABLE x TO y;\n$$ LANGUAGE sql;\n-- end"
	long := strings.Repeat("x", 200_000)
	for text, want := range map[string]string{in: want, long + "\nGRANT ALL ON TABLE x TO y;\n" + long: long + "\n" + long, "": ""} {
		var got strings.Builder
		buf := make([]byte, 777)
		from := newOwnerless(strings.NewReader(text))
		for {
			n, err := from.Read(buf)
			got.Write(buf[:n])
			if err != nil {
				break
			}
		}
		if got.String() != want {
			t.Errorf("it gives %.300q, want %.300q", got.String(), want)
		}
	}
}
