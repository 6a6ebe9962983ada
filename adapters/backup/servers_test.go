package backupprovider

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"quarterdeck/bot/provider"
)

// far is a real database server, as an administrator of it.
type far struct {
	engine string
	url    *url.URL
}

// server gives the server that the tests use; see .ci/postgres and .ci/mariadb.
func server(t testing.TB, engine string) far {
	t.Helper()
	name := "QUARTERDECK_" + strings.ToUpper(engine)
	raw := os.Getenv(name)
	if raw == "" {
		if os.Getenv("QUARTERDECK_TEST_ALL") != "" {
			t.Fatalf("%s names no server; run the tests under .ci/%s", name, engine)
		}
		t.Skipf("needs a server: .ci/%s go test ./adapters/backup", engine)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("%s is no address", name)
	}
	return far{engine, u}
}

// tool calls a client program as the administrator.
func (f far) tool(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, append(f.args(), args...)...)
	password, _ := f.url.User.Password()
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "MYSQL_PWD="+password)
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, said.String())
	}
	return string(out)
}

func (f far) args() []string {
	if f.engine == "postgres" {
		return []string{"--host=" + f.url.Hostname(), "--port=" + f.url.Port(), "--username=" + f.url.User.Username()}
	}
	return []string{"--no-defaults", "--protocol=tcp", "--host=" + f.url.Hostname(), "--port=" + f.url.Port(), "--user=" + f.url.User.Username()}
}

// do runs statements.
func (f far) do(t testing.TB, database, sql string) string {
	t.Helper()
	if f.engine == "postgres" {
		return f.tool(t, sql, "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname="+database, "--file=-")
	}
	return f.tool(t, sql, "mariadb", "--batch", "--skip-column-names", "--database="+database)
}

func (f far) first() string {
	if f.engine == "postgres" {
		return "postgres"
	}
	return "mysql"
}

// as gives the address of a database as somebody.
func (f far) as(user, password, database string) string {
	u := *f.url
	u.User, u.Path = url.UserPassword(user, password), "/"+database
	return u.String()
}

// stage is a source database, an account for restore tests, and a world with a
// dump of the former.
type stage struct {
	world
	far
	source, user string
}

const dumpTable = `match = "*.dump"
not_empty = ["orders"]
newest = "SELECT max(at) FROM orders"
source = "file:source"
queries = [{ name = "every order has a customer", sql = "SELECT count(*) FROM orders WHERE customer NOT IN (SELECT id FROM customers)", want = "0" }]
`

var ordersSQL = map[string]string{
	"postgres": `CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id integer PRIMARY KEY, customer integer NOT NULL REFERENCES customers(id), at timestamptz NOT NULL);
CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
/* lines that look like what is left out of a dump:
GRANT ALL ON orders TO somebody;
*/
RETURN n * 2;
END $$;
INSERT INTO customers VALUES (1, 'ada'), (2, E'bob\n\\restrict me');
INSERT INTO orders SELECT n, 1 + n % 2, '2026-11-21T11:59:30Z' FROM generate_series(1, 500) n;`,
	"mariadb": `CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id integer PRIMARY KEY, customer integer NOT NULL REFERENCES customers(id), at datetime NOT NULL);
INSERT INTO customers VALUES (1, 'ada'), (2, 'bob');
INSERT INTO orders SELECT seq, 1 + seq % 2, '2026-11-21 11:59:30' FROM seq_1_to_500;`,
}

// newStage makes a stage of its own on the server.
func newStage(t *testing.T, engine, settings string) stage {
	t.Helper()
	f := server(t, engine)
	id := token()[:10]
	s := stage{newWorld(t, settings, "engine = \""+engine+"\"\n"+dumpTable), f, "src" + id, "rt" + id}
	password := token()
	switch engine {
	case "postgres":
		f.do(t, "postgres", "CREATE DATABASE "+s.source)
		f.do(t, "postgres", "CREATE ROLE "+s.user+" LOGIN CREATEDB PASSWORD '"+password+"'")
		t.Cleanup(func() { clear(t, f, "DROP DATABASE "+s.source, "DROP ROLE "+s.user) })
	case "mariadb":
		f.do(t, "mysql", "CREATE DATABASE "+s.source+"; CREATE USER "+s.user+"@'127.0.0.1' IDENTIFIED BY '"+password+"'; GRANT ALL PRIVILEGES ON `qd\\_rt\\_%`.* TO "+s.user+"@'127.0.0.1'")
		t.Cleanup(func() { clear(t, f, "DROP DATABASE "+s.source, "DROP USER "+s.user+"@'127.0.0.1'") })
	}
	f.do(t, s.source, ordersSQL[engine])
	admin, _ := f.url.User.Password()
	s.secret(t, "source", f.as(f.url.User.Username(), admin, s.source))
	s.secret(t, "server", f.as(s.user, password, ""))
	return s
}

// clear cleans up with a context of its own: that of the test has ended.
func clear(t testing.TB, f far, statements ...string) {
	for _, sql := range statements {
		name, last := "psql", "--command="
		if f.engine == "mariadb" {
			name, last = "mariadb", "--execute="
		}
		cmd := exec.Command(name, append(f.args(), last+sql)...)
		if f.engine == "postgres" {
			cmd.Args = append(cmd.Args, "--dbname=postgres")
		}
		password, _ := f.url.User.Password()
		cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "MYSQL_PWD="+password)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", sql, err, out)
		}
	}
}

func (s stage) secret(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

// dump makes a backup as a team's job does, and describes it.
func (s stage) dump(t testing.TB, id string, args ...string) {
	t.Helper()
	s.dumpOnly(t, id, args...)
	s.describe(t, id)
}

func (s stage) dumpOnly(t testing.TB, id string, args ...string) {
	t.Helper()
	if s.engine == "postgres" {
		s.tool(t, "", "pg_dump", append(args, "--file="+s.path(id), s.source)...)
		return
	}
	s.tool(t, "", "mariadb-dump", append(args, "--single-transaction", "--result-file="+s.path(id), s.source)...)
}

// databases counts the scratch databases of the stage's account, and of its keys.
func (s stage) databases(t testing.TB, keys ...string) int {
	t.Helper()
	n := 0
	for _, key := range keys {
		sql := "SELECT count(*) FROM pg_database WHERE datname LIKE '" + tagOf(key) + "%'"
		if s.engine == "mariadb" {
			sql = "SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE '" + tagOf(key) + "%'"
		}
		if strings.TrimSpace(s.do(t, s.first(), sql)) != "0" {
			n++
		}
	}
	return n
}

func serverKey(engine string) string { return engine + " = \"file:server\"\n" }

var dumpArgs = map[string]map[string][]string{
	"postgres": {"statements": nil, "custom": {"--format=custom"}, "folder": {"--format=directory"}},
	"mariadb":  {"statements": nil},
}

func TestPostgreSQL(t *testing.T) { testServer(t, "postgres") }
func TestMariaDB(t *testing.T)    { testServer(t, "mariadb") }

func testServer(t *testing.T, engine string) {
	t.Parallel()
	s := newStage(t, engine, serverKey(engine))
	for name, args := range dumpArgs[engine] {
		t.Run("good "+name, func(t *testing.T) {
			s.dump(t, name+".dump", args...)
			f, p := s.try(t, "good-"+name, name+".dump")
			wantPassed(t, f, p)
			if r := rungOf(t, f, provider.RungContent); r.State != provider.RungPassed || !strings.Contains(strings.Join(r.Checks, ";"), "orders: 500 rows") {
				t.Errorf("content: %+v", r)
			}
			if got := f.Newest.Format("15:04:05"); got != "11:59:30" {
				t.Errorf("the newest order is of %s", got)
			}
			if n := s.databases(t, "good-"+name); n != 0 {
				t.Errorf("%d scratch databases are left", n)
			}
		})
	}
	t.Run("good zipped", func(t *testing.T) {
		s.dumpOnly(t, "zipped.dump")
		spoil(t, s.path("zipped.dump"), zipped)
		s.describe(t, "zipped.dump")
		wantPass(t, s, "zipped.dump")
	})
	faults := []struct {
		name   string
		args   []string
		before func([]byte) []byte // the manifest is written
		after  func([]byte) []byte
		rung   provider.RungName
		says   string
	}{
		{name: "truncated", after: truncated, rung: provider.RungIntact, says: "bytes, and had"},
		{name: "cut short before it was described", before: truncated, rung: provider.RungEngine, says: "it was cut short"},
		{name: "one byte flipped", after: flipped, rung: provider.RungIntact, says: "its SHA-256 is"},
		{name: "a table missing", args: without[engine], rung: provider.RungContent, says: "the table customers is missing; it had 2 rows when the backup was made"},
		{name: "of a newer version", before: newer[engine], rung: provider.RungEngine, says: "which is newer than the server's"},
		{name: "with an error in it", before: faulty, rung: provider.RungRestored, says: `nowhere`},
		{name: "that calls a program", before: hostile[engine], rung: provider.RungRestored, says: forbidden[engine]},
		{name: "of something else", before: func([]byte) []byte { return []byte("nothing\n" + last[engine] + "\n") }, rung: provider.RungEngine, says: "it does not say what it was dumped from"},
	}
	for _, c := range faults {
		t.Run(c.name, func(t *testing.T) {
			id := strings.ReplaceAll(c.name, " ", "-") + ".dump"
			args := c.args
			if engine == "mariadb" && c.name == "a table missing" {
				args = []string{"--ignore-table=" + s.source + ".customers"}
			}
			s.dumpOnly(t, id, args...)
			if c.before != nil {
				spoil(t, s.path(id), c.before)
			}
			s.describe(t, id)
			if c.after != nil {
				spoil(t, s.path(id), c.after)
			}
			f, p := s.try(t, id, id)
			wantFailed(t, f, p, c.rung, c.says)
			if n := s.databases(t, id); n != 0 {
				t.Errorf("%d scratch databases are left", n)
			}
			if _, err := os.Stat(filepath.Join(s.Dir, "called")); err == nil {
				t.Error("the dump called a program")
			}
		})
	}
	t.Run("no room", func(t *testing.T) {
		w := s
		w.Settings = "reserve = \"900TiB\"\n" + serverKey(engine)
		f, p := w.try(t, "no-room", "statements.dump")
		wantFailed(t, f, p, provider.RungSpace, "there is not enough room")
	})
	t.Run("killed", func(t *testing.T) {
		for _, at := range []provider.RungName{provider.RungRestored, provider.RungContent, provider.RungAcross} {
			key := "killed-" + string(at)
			s.killedAt(t, key, "statements.dump", at)
			if at != provider.RungRestored && s.databases(t, key) != 1 {
				t.Fatalf("killed at %s it leaves no database, so this test shows nothing", at)
			}
			s.sweep(t, 1)
			s.empty(t)
			if n := s.databases(t, key); n != 0 {
				t.Errorf("%d scratch databases are left", n)
			}
		}
		key := "killed-and-goes-on"
		s.killedAt(t, key, "statements.dump", provider.RungContent)
		f, p := s.try(t, key, "statements.dump")
		wantPassed(t, f, p)
		if n := s.databases(t, key); n != 0 {
			t.Errorf("%d scratch databases are left", n)
		}
	})
	t.Run("an account that may do more", func(t *testing.T) {
		w := s
		w.Settings = strings.ReplaceAll(s.Settings, "file:server", "file:source")
		f, p := w.try(t, "too-much", "statements.dump")
		wantFailed(t, f, p, provider.RungEngine, "may do more than restore")
	})
	t.Run("a server elsewhere", func(t *testing.T) {
		s.secret(t, "elsewhere", strings.ReplaceAll(s.far.as("rt", "x", ""), "127.0.0.1", "192.0.2.1"))
		w := s
		w.Settings = strings.ReplaceAll(s.Settings, "file:server", "file:elsewhere")
		b := w.tester(t)
		h, err := b.Begin(provider.Trial{Target: shop, Backup: w.backup(t, "statements.dump")}, task("elsewhere"))
		if err != nil {
			t.Fatal(err)
		}
		h, p := advance(t, b, h)
		f, err := b.Findings(h)
		if err != nil {
			t.Fatal(err)
		}
		wantFailed(t, f, p, provider.RungEngine, "is not on this machine")
		// What may be there cannot be looked for, so that is not said to be gone.
		if err := b.Destroy(t.Context(), h); err == nil {
			t.Error("a place on a server that is not asked is said to be gone")
		}
		s.sweep(t, 1)
	})
	// Last: the password is another one from now on.
	t.Run("wrong password", func(t *testing.T) {
		right, err := os.ReadFile(filepath.Join(s.Dir, "server"))
		if err != nil {
			t.Fatal(err)
		}
		s.secret(t, "server", s.far.as(s.user, "not the password", ""))
		b := s.tester(t)
		h, err := b.Begin(provider.Trial{Target: shop, Backup: s.backup(t, "statements.dump")}, task("wrong"))
		if err != nil {
			t.Fatal(err)
		}
		h, p := advance(t, b, h)
		f, err := b.Findings(h)
		if err != nil {
			t.Fatal(err)
		}
		wantFailed(t, f, p, provider.RungEngine, refused[engine])
		if strings.Contains(p.Text, "not the password") {
			t.Errorf("it tells the password: %s", p.Text)
		}
		s.secret(t, "server", string(right))
		if err := b.Destroy(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		s.empty(t)
	})
}

func wantPass(t *testing.T, s stage, id string) {
	t.Helper()
	f, p := s.try(t, id, id)
	wantPassed(t, f, p)
}

var (
	last    = map[string]string{"postgres": "-- PostgreSQL database dump complete", "mariadb": "-- Dump completed on 2026-11-21"}
	refused = map[string]string{"postgres": "password authentication failed", "mariadb": "Access denied for user"}
	// forbidden is what the clients say in their restricted modes.
	forbidden = map[string]string{"postgres": "backslash commands are restricted", "mariadb": "Not allowed in the sandbox mode"}
	// without leaves out a table that the source has.
	without = map[string][]string{"postgres": {"--exclude-table=customers", "--table=orders", "--section=pre-data", "--section=data"}, "mariadb": nil}
	newer   = map[string]func([]byte) []byte{
		"postgres": replaced(`Dumped from database version [0-9.]+`, "Dumped from database version 99.1"),
		"mariadb":  replaced(`(-- Server version\s+)[0-9.]+`, "${1}99.1.2"),
	}
	hostile = map[string]func([]byte) []byte{
		"postgres": replaced(`(?m)^SET `, "\\! touch called\nSET "),
		"mariadb":  replaced(`(?m)^DROP TABLE`, "\\! touch called\nDROP TABLE"),
	}
)

func replaced(pattern, by string) func([]byte) []byte {
	return func(raw []byte) []byte { return regexp.MustCompile(pattern).ReplaceAll(raw, []byte(by)) }
}

// faulty breaks the last statement of a dump.
func faulty(raw []byte) []byte {
	i := bytes.LastIndex(raw, []byte("-- "))
	return append(append(append([]byte(nil), raw[:i]...), []byte("SELECT nonsense FROM nowhere;\n")...), raw[i:]...)
}

func zipped(raw []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(raw) // into memory
	_ = z.Close()
	return b.Bytes()
}

// Without a configured server, one is started for the trial alone, and is gone with
// it, also when the bot is killed while it runs.
func TestOwnPostgreSQL(t *testing.T) { testOwn(t, "postgres") }
func TestOwnMariaDB(t *testing.T)    { testOwn(t, "mariadb") }

func testOwn(t *testing.T, engine string) {
	t.Parallel()
	s := newStage(t, engine, "")
	s.dump(t, "one.dump")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(o helperOrder) (out string, kill func()) {
		t.Helper()
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Dir = s.Dir
		cmd.Env = append(os.Environ(), helperEnv+"="+string(raw), "HOME="+s.Dir)
		cmd.Stderr = os.Stderr
		s.unprivileged(t, cmd)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(pipe).ReadString('\n')
		if err != nil {
			t.Errorf("the bot says %q, %v", line, err)
		}
		return line, func() {
			if o.At != "" {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
			if err := cmd.Wait(); (err != nil) != (o.At != "") {
				t.Errorf("the bot ended with %v", err)
			}
		}
	}
	order := helperOrder{World: s.world, Key: "own", Backup: s.backup(t, "one.dump")}
	out, end := run(order)
	end()
	if !strings.HasPrefix(out, "succeeded: ") {
		t.Errorf("it ended as %s", out)
	}
	s.empty(t)
	order.At = provider.RungContent
	out, kill := run(order)
	if out != "reached\n" {
		t.Fatalf("it ended as %s", out)
	}
	// It runs, and this is what says so.
	if _, err := seize(filepath.Join(s.Dir, "s", "restore-tests", "files"), tagOf("own")); !errors.Is(err, errInUse) {
		t.Errorf("the place is not in use: %v", err)
	}
	kill()
	s.sweep(t, 1)
	s.empty(t)
}

// unprivileged has a command run as nobody where the tests are root's: PostgreSQL
// refuses to be.
func (s stage) unprivileged(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	const nobody = 65534
	if os.Geteuid() != 0 {
		return
	}
	raw, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(s.Dir, "bot")
	if err := os.WriteFile(own, raw, 0o755); err != nil && !errors.Is(err, os.ErrPermission) {
		t.Fatal(err)
	}
	cmd.Path = own
	err = filepath.WalkDir(s.Dir, func(at string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(at, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
