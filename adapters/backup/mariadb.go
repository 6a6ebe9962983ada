package backupprovider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"quarterdeck/bot"
)

// mariadbDump is a dump of MariaDB or MySQL, restored into a database of its own.
type mariadbDump struct {
	*climb
	*member
	index  int
	name   string
	kind   dumpKind
	server *running
	to     myServer
}

// myServer is a server and who asks it, by its own client program.
type myServer struct {
	address
	bin   string
	place *place
}

// args are those of every call: no file of options counts, nothing of the client's
// own commands, and no file of this machine is sent.
func (s myServer) args(database string) []string {
	args := []string{"--no-defaults", "--sandbox", "--local-infile=0", "--connect-timeout=10", "--default-character-set=utf8mb4",
		"--batch", "--skip-column-names", "--user=" + s.user}
	switch {
	case strings.HasPrefix(s.host, "/"):
		args = append(args, "--protocol=socket", "--socket="+s.host)
	default:
		host := s.host
		if host == "" || host == "localhost" { // which the client would take for a socket
			host = "127.0.0.1"
		}
		args = append(args, "--protocol=tcp", "--host="+host)
		if s.port != "" {
			args = append(args, "--port="+s.port)
		}
	}
	if database != "" {
		args = append(args, "--database="+database)
	}
	return args
}

// client runs statements that are ours or the configuration's.
func (s myServer) client(ctx context.Context, database, sql string) ([][]string, error) {
	path, err := find(s.bin, "mariadb")
	if err != nil {
		return nil, err
	}
	out, err := s.place.run(ctx, program{name: "mariadb", path: path, dir: s.place.dir, env: []string{"MYSQL_PWD=" + s.password},
		args: s.args(database), stdin: strings.NewReader(sql + "\n;\n")})
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range bytes.Lines(out) {
		cells := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
		for i, c := range cells {
			cells[i] = unescaped.Replace(c)
		}
		rows = append(rows, cells)
	}
	return rows, nil
}

// unescaped takes back what the client does to values with --batch.
var unescaped = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00", `\\`, `\`)

func (b *backups) mariadbServer(p *place) (myServer, error) {
	a, err := addressOf(b.mariadb, "mariadb", "mysql")
	if err != nil {
		return myServer{}, err
	}
	if !a.local() {
		return myServer{}, bot.Errorf(bot.Denied, "the server for restore tests is not on this machine; a dump is restored into a server of this machine alone")
	}
	return myServer{a, b.settings.MariaDBBin, p}, nil
}

var (
	myDumped = regexp.MustCompile(`(?m)^-- Server version\s+([0-9.]+)`)
	myEnd    = regexp.MustCompile(`^-- Dump completed`)
	// myGlobal are the privileges on everything that a restore needs at most: to be
	// let in, and to make views and triggers in another's name.
	myGlobal = regexp.MustCompile("^GRANT (USAGE|SET USER)(, (USAGE|SET USER))* ON \\*\\.\\* TO ")
	myScope  = regexp.MustCompile(`^GRANT ALL PRIVILEGES ON .qd\\_rt\\_%.\.\* TO `)
)

func (d *mariadbDump) engine(ctx context.Context) (string, []string, error) {
	bin := d.settings.MariaDBBin
	names := []string{"mariadb"}
	if d.mariadb == nil {
		names = append(names, "mariadb-install-db", "mariadbd")
	}
	paths := map[string]string{}
	var tools []string
	for _, name := range names {
		path, err := find(bin, name)
		if err != nil {
			return "", nil, err
		}
		paths[name] = path
		if name == "mariadb-install-db" { // which only says how it is used
			continue
		}
		args := []string{"--no-defaults", "--version"}
		if name == "mariadb" {
			args = []string{"--no-defaults", "--sandbox", "--version"}
		}
		out, err := d.place.run(ctx, program{name: name, path: path, args: args})
		if err != nil {
			return "", tools, err
		}
		tools = append(tools, clean(string(out), 80))
	}
	path := d.fetched(d.member)
	var err error
	if d.kind, err = kindOf(path); err != nil {
		return "", tools, err
	}
	if d.kind != dumpText && d.kind != dumpZipped {
		return "", tools, bot.Errorf(bot.Conflict, "it is no dump of MariaDB")
	}
	var major version
	if d.mariadb != nil {
		if d.to, err = d.mariadbServer(d.place); err != nil {
			return "", tools, err
		}
		if major, err = d.trusted(ctx); err != nil {
			return "", tools, err
		}
	} else {
		major = versionOf(tools[len(tools)-1])
	}
	head, whole, err := ends(ctx, path, d.kind, myEnd)
	if err != nil {
		return "", tools, err
	}
	if !whole {
		return "", tools, bot.Errorf(bot.Conflict, "it does not end as mariadb-dump ends a dump: it was cut short")
	}
	m := myDumped.FindStringSubmatch(strings.Join(head, "\n"))
	if m == nil {
		return "", tools, bot.Errorf(bot.Conflict, "it is no dump of MariaDB or MySQL: it does not say what it was dumped from")
	}
	from := versionOf(m[1])
	if len(major) < 2 || len(from) < 2 {
		return "", tools, bot.Errorf(bot.Conflict, "its version, or the server's, cannot be told")
	}
	if from[0] > major[0] || from[0] == major[0] && from[1] > major[1] {
		return "", tools, bot.Errorf(bot.Conflict, "it was dumped from version %s, which is newer than the server's %s; restore tests need one of that version", clean(m[1], 20), major)
	}
	return fmt.Sprintf("MariaDB %s, dumped from %s", major, clean(m[1], 20)), tools, nil
}

// trusted looks whether the configured server may be restored into: as an account
// that cannot touch anything but scratch databases, because a dump can hold any
// statement, such as USE of another database.
func (d *mariadbDump) trusted(ctx context.Context) (version, error) {
	rows, err := d.to.client(ctx, "", "SHOW GRANTS; SELECT version()")
	if err != nil {
		return nil, err
	}
	if len(rows) < 2 {
		return nil, errors.New("mariadb says nothing of the account")
	}
	scoped := false
	for _, row := range rows[:len(rows)-1] {
		switch grant := row[0]; {
		case myGlobal.MatchString(grant):
		case myScope.MatchString(strings.ReplaceAll(grant, `\\`, `\`)):
			scoped = true
		default:
			return nil, bot.Errorf(bot.Denied, "the account %s may do more than restore; give restore tests one with ALL PRIVILEGES ON `qd\\_rt\\_%%`.* and nothing else", clean(d.to.user, 60))
		}
	}
	if !scoped {
		return nil, bot.Errorf(bot.Denied, "the account %s may not make scratch databases; give it ALL PRIVILEGES ON `qd\\_rt\\_%%`.*", clean(d.to.user, 60))
	}
	return versionOf(rows[len(rows)-1][0]), nil
}

func (d *mariadbDump) restore(ctx context.Context) (string, error) {
	if d.mariadb == nil {
		if err := d.startServer(ctx); err != nil {
			return "", err
		}
	} else if _, err := d.to.client(ctx, "", "CREATE DATABASE `"+d.name+"` CHARACTER SET utf8mb4"); err != nil {
		return "", err
	}
	path, err := find(d.to.bin, "mariadb")
	if err != nil {
		return "", err
	}
	in, err := statements(d.fetched(d.member), d.kind)
	if err != nil {
		return "", err
	}
	defer in.Close()
	if _, err := d.place.run(ctx, program{name: "mariadb", path: path, env: []string{"MYSQL_PWD=" + d.to.password}, args: d.to.args(d.name), stdin: reader{ctx, in}}); err != nil {
		return "", err
	}
	return "MariaDB restored it without an error", nil
}

// startServer starts a server in the place, with an account that is bound to the
// scratch database.
func (d *mariadbDump) startServer(ctx context.Context) error {
	sockets, err := d.place.socketFolder()
	if err != nil {
		return err
	}
	bin := d.settings.MariaDBBin
	install, err := find(bin, "mariadb-install-db")
	if err != nil {
		return err
	}
	daemon, err := find(bin, "mariadbd")
	if err != nil {
		return err
	}
	data := d.place.file("mariadb-" + d.member.name)
	common := []string{"--no-defaults", "--datadir=" + data}
	if os.Geteuid() == 0 {
		common = append(common, "--user=root") // as which it starts only when told to
	}
	if _, err := d.place.run(ctx, program{name: "mariadb-install-db", path: install,
		args: append(append([]string(nil), common...), "--auth-root-authentication-method=normal", "--skip-test-db")}); err != nil {
		return err
	}
	socket := sockets + "/" + d.member.name[:1] + strconv.Itoa(d.index) + ".sock"
	if d.server, err = d.place.begin(program{name: "mariadbd", path: daemon,
		args: append(append([]string(nil), common...), "--skip-networking", "--socket="+socket, "--pid-file="+data+"/pid", "--skip-log-bin",
			"--secure-file-priv="+data, "--innodb-flush-log-at-trx-commit=0")}); err != nil {
		return err
	}
	owner := myServer{address{host: socket, user: "root"}, bin, d.place}
	if err := answers(ctx, d.server, func(ctx context.Context) error {
		_, err := owner.client(ctx, "", "SELECT 1")
		return err
	}); err != nil {
		return err
	}
	if _, err := owner.client(ctx, "", "CREATE DATABASE `"+d.name+"` CHARACTER SET utf8mb4; CREATE USER qd_restore@localhost; GRANT ALL PRIVILEGES ON `"+d.name+"`.* TO qd_restore@localhost; GRANT SET USER ON *.* TO qd_restore@localhost"); err != nil {
		return err
	}
	d.to = owner
	d.to.user = "qd_restore"
	return nil
}

func (d *mariadbDump) verify(ctx context.Context) (string, error) {
	names, err := d.to.names(ctx, d.name)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "no tables to check", nil
	}
	rows, err := d.to.client(ctx, d.name, "CHECK TABLE "+strings.Join(names, ", "))
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		if len(row) == 4 && row[2] != "note" && row[2] != "info" && row[3] != "OK" {
			return "", bot.Errorf(bot.Conflict, "CHECK TABLE says of %s: %s", clean(row[0], 100), clean(row[3], 100))
		}
	}
	return "tables checked", nil
}

// names gives the tables, quoted.
func (s myServer) names(ctx context.Context, database string) ([]string, error) {
	rows, err := s.client(ctx, database, fmt.Sprintf("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY 1 LIMIT %d", maxTables+1))
	if err != nil {
		return nil, err
	}
	if len(rows) > maxTables {
		return nil, bot.Errorf(bot.Invalid, "it has more than %d tables", maxTables)
	}
	var names []string
	for _, row := range rows {
		names = append(names, "`"+strings.ReplaceAll(row[0], "`", "``")+"`")
	}
	return names, nil
}

func (d *mariadbDump) tables(ctx context.Context) (map[string]int64, error) {
	return d.to.count(ctx, d.name)
}

func (s myServer) count(ctx context.Context, database string) (map[string]int64, error) {
	names, err := s.names(ctx, database)
	if err != nil || len(names) == 0 {
		return map[string]int64{}, err
	}
	var query strings.Builder
	for i, name := range names {
		if i > 0 {
			query.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&query, "SELECT %d, count(*) FROM %s", i, name)
	}
	rows, err := s.client(ctx, database, query.String())
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64, len(names))
	for _, row := range rows {
		if len(row) != 2 {
			return nil, fmt.Errorf("mariadb gave %d cells for a count", len(row))
		}
		i, errI := strconv.Atoi(row[0])
		n, errN := strconv.ParseInt(row[1], 10, 64)
		if errI != nil || errN != nil || i < 0 || i >= len(names) {
			return nil, errors.New("mariadb gave a count that is none")
		}
		counts[strings.ReplaceAll(strings.Trim(names[i], "`"), "``", "`")] = n
	}
	if len(counts) != len(names) {
		return nil, errors.New("mariadb did not count every table")
	}
	return counts, nil
}

func (d *mariadbDump) ask(ctx context.Context, sql string, most int) ([][]string, error) {
	rows, err := d.to.client(ctx, d.name, fmt.Sprintf("SET SESSION max_statement_time = %d; START TRANSACTION READ ONLY; %s", int(askWithin.Seconds()), sql))
	return rows[:min(len(rows), most)], err
}

func (d *mariadbDump) close() {
	if d.server != nil {
		d.server.stop()
	}
}
