package audit

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const aKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

func TestRedactShapes(t *testing.T) {
	log := New(Config{})
	line76 := "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKjxk9QpL3R8dZ"
	for _, c := range []struct{ in, want string }{
		{"DB_PASS=hunter2 next", "DB_PASS=[redacted] next"},
		{"dbPass: hunter2", "dbPass: [redacted]"},
		{`{"pass": "hunter2", "user": "bob"}`, `{"pass": [redacted], "user": "bob"}`},
		{"pass=hunter2&x=1", "pass=[redacted]&x=1"},
		{"tool --pass hunter2 --db-pass hunter3", "tool --pass [redacted] --db-pass [redacted]"},
		{"mysql -u root -phunter2 shop", "mysql -u root -p[redacted] shop"},
		{"mysqldump -p'hunt er2' shop", "mysqldump -p[redacted] shop"},
		{"sshpass -p hunter2 ssh db", "sshpass -p [redacted] ssh db"},
		{"redis-cli -h db -a hunter2 ping", "redis-cli -h db -a [redacted] ping"},
		{"curl -s -u bob:hunter2 https://x", "curl -s -u [redacted] https://x"},
		{"curl --user 'bob:hun ter2' https://x", "curl --user [redacted] https://x"},
		{"curl -subob:hunter2 https://x", "curl -su[redacted] https://x"},
		{"open bob:hunt@er2@tcp(db:3306)/shop", "open [redacted]@tcp(db:3306)/shop"},
		{"bob:hunter2@unix(/run/db.sock)/shop", "[redacted]@unix(/run/db.sock)/shop"},
		{"postgres://bob:hun/ter2@db/shop", "postgres://[redacted]@db/shop"},
		{"aws_secret_access_key " + aKey, "aws_secret_access_key [redacted]"},
		{"Password [hunter2]", "Password [redacted]"},
		{`{"db_password":{"value":"hunter2"},"x":1}`, `{"db_password":[redacted],"x":1}`},
		{`{"db_password":{"value":{"from":"hun}ter2"}},"x":1}`, `{"db_password":[redacted],"x":1}`},
		{`{\"db_password\":{\"value\":\"hunter2\"}}`, `{\"db_password\":[redacted]}`},
		{`{"tokens":["hunter2","hunter3"],"x":1}`, `{"tokens":[redacted],"x":1}`},
		{"{\n \"password\": [\n  \"hunter2\"\n ]\n}", "{\n \"password\": [redacted]\n}"},
		{`{"password":"hun\"ter2","x":1}`, `{"password":[redacted],"x":1}`},
		{`{\"password\":\"hun\\\"ter2\",\"x\":1}`, `{\"password\":[redacted],\"x\":1}`},
		{`said "password": "hunter2 cut o`, `said "password": [redacted]`},
		{"password:\n  hunter2\nnext", "password:\n  [redacted]\nnext"},
		{"password: |\n  hunter2\n  hunter3\nnext", "password: [redacted]\nnext"},
		{"password:\n  value: hunter2\nnext", "password:\n  value: [redacted]\nnext"},
		{"password:\n- hunter2", "password:\n- [redacted]"},
		{"x?password%3Dhunter2", "x?password%3D[redacted]"},
		{line76 + "\nkjH12=\ndone", "[redacted]\n[redacted]\ndone"},
		{"MIIEvQIBADANBgkqhk\nabC1=\n-----END PRIVATE " + "KEY-----\nafter", "[redacted]\nafter"},
		{"-----BEGIN PRIVATE " + "KEY-----\nMI\n" + line76 + line76 + "\n-----END PRIVATE KEY-----", "[redacted]"},

		{"pass the test, all of them", "pass the test, all of them"},
		{"v2 passed; 3 tests pass: 12 of 12, fail: 0", "v2 passed; 3 tests pass: 12 of 12, fail: 0"},
		{"pass=12 fail=3 tests_passed=12 bypass: true", "pass=12 fail=3 tests_passed=12 bypass: true"},
		{`{"pass": 12, "passed": "yes"}`, `{"pass": 12, "passed": "yes"}`},
		{"shop:v2@sha256:" + strings.Repeat("8f", 32), "shop:v2@sha256:" + strings.Repeat("8f", 32)},
		{"docker://registry:5000/shop@sha256:8f434346", "docker://registry:5000/shop@sha256:8f434346"},
		{"http://[::1]:8080/shop@v2", "http://[::1]:8080/shop@v2"},
		{"the secret of v2.0.12 is patience", "the secret of v2.0.12 is patience"},
		{"rotate the db_password tomorrow, see v1.2.3-rc1", "rotate the db_password tomorrow, see v1.2.3-rc1"},
		{"restart mysql -- port 3306; mysql -u root -p shop", "restart mysql -- port 3306; mysql -u root -p shop"},
		{"curl -u bob https://x; docker run", "curl -u bob https://x; docker run"},
		{"docker run -u 1000:1000 shop", "docker run -u 1000:1000 shop"},
		{"TestDeployShopToStagingWithVersion2AndThenRollback", "TestDeployShopToStagingWithVersion2AndThenRollback"},
		{"/srv/Releases2026/November/Quarterdeck/ShopFrontend/index", "/srv/Releases2026/November/Quarterdeck/ShopFrontend/index"},
		{"mailed bob@example.com at 12:30, took 3m:2s @ 5%", "mailed bob@example.com at 12:30, took 3m:2s @ 5%"},
	} {
		got := log.Redact(c.in)
		if got != c.want {
			t.Errorf("%q\n got %q\nwant %q", c.in, got, c.want)
		}
		if again := log.Redact(got); again != got {
			t.Errorf("a second time: %q gives %q", got, again)
		}
	}
}

func TestRedactDisguised(t *testing.T) {
	const secret = `hun"t&e\r é2+/`
	quoted, _ := json.Marshal(secret)
	in := string(quoted[1 : len(quoted)-1])
	twice, _ := json.Marshal(in)
	log := New(Config{Redact: []*regexp.Regexp{regexp.MustCompile(regexp.QuoteMeta(secret)), regexp.MustCompile(`card=[0-9]+`)}})
	for _, disguised := range []string{
		secret, in, string(twice[1 : len(twice)-1]), strings.ReplaceAll(in, "é", `\u00e9`),
		url.QueryEscape(secret), url.PathEscape(secret), url.QueryEscape(url.PathEscape(secret)), strings.ToLower(url.PathEscape(secret)),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawStdEncoding.EncodeToString([]byte(secret)),
		base64.URLEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte("bob:" + secret + "\n")), url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(secret))),
		secret[:6] + "\n" + secret[6:], secret[:6] + "\r\n   " + secret[6:], strings.Replace(secret, " ", "\n", 1),
		base64.StdEncoding.EncodeToString([]byte(secret))[:8] + "\n" + base64.StdEncoding.EncodeToString([]byte(secret))[8:],
	} {
		s := "say (" + disguised + ") done"
		if got, want := log.Redact(s), "say ("+Redacted+") done"; got != want {
			t.Errorf("%q\n got %q\nwant %q", s, got, want)
		}
	}
	for _, s := range []string{
		`deploy "shop" \ v2 to prod`, "100% of a+b\nand card\n=x", "cards\n12 34", `C:\new\u00e9 \q %zz %`, "Deployment completed in ABCDEFGH", "line one\nline two\n",
	} {
		if got := log.Redact(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got := log.Redact("card=12\n34 items"); got != Redacted+"\n34 items" {
		t.Errorf("the next line is not part of what matched on this one: %q", got)
	}
}

// However a secret is written, it is gone, and doing it again changes nothing.
func TestRedactDisguisedTwice(t *testing.T) {
	log := New(Config{Redact: []*regexp.Regexp{regexp.MustCompile(`s3"cr&t`), regexp.MustCompile(`\S+-id`)}})
	part := rapid.OneOf(rapid.SampledFrom([]string{`s3\"cr\u0026t`, "s3%22cr%26t", "czMiY3ImdA==", "s3\"\ncr&t", `s3\\\"cr&t`, "-id", "%2Did", "\n", " ", `\`, "%", "+", "=", "{", "}", "[", "]",
		`"`, Redacted, "password", "_pass", "pass=", `"pass":`, ":", "|\n  ", "curl -u ", "a:b", "@tcp(", "mysql -p", "://", "/", "@", "x"}), rapid.StringN(0, 6, -1))
	rapid.Check(t, func(q *rapid.T) {
		s := strings.Join(rapid.SliceOfN(part, 0, 12).Draw(q, "parts"), "")
		once := log.Redact(s)
		if twice := log.Redact(once); twice != once {
			q.Fatalf("%q gives %q, then %q", s, once, twice)
		}
	})
}

func BenchmarkRedactLine(b *testing.B) {
	const line = "2026-11-21T08:52:23Z shop/prod is at v2 (sha256:8f434346), 3 of 4 instances up, p99 120ms, all well"
	log := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		log.Redact(line)
	}
}

func BenchmarkRedactLineConfigured(b *testing.B) {
	const line = "2026-11-21T08:52:23Z shop/prod is at v2 (sha256:8f434346), 3 of 4 instances up, p99 120ms, all well"
	log := New(Config{Redact: []*regexp.Regexp{regexp.MustCompile(`(?i)card=[0-9 ]+`)}})
	b.ReportAllocs()
	for b.Loop() {
		log.Redact(line)
	}
}
