package audit

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRedact(t *testing.T) {
	pem := "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQ\nabc=\n-----END PRIVATE KEY-----"
	line64 := "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
	jwt := "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".c2lnbmF0dXJl"
	for _, c := range []struct{ in, want string }{
		{"Authorization: Bearer abc.def-123456", "Authorization: [redacted]"},
		{`{"authorization": "Basic dXNlcjpwYXNz"}`, `{"authorization": "[redacted]"}`},
		{"curl -H 'Authorization: Splunk 0a1b2c3d'", "curl -H 'Authorization: [redacted]'"},
		{"sent bearer abcdefgh12345678 along", "sent bearer [redacted] along"},
		{"key AKIA" + "IOSFODNN7EXAMPLE here", "key [redacted] here"},
		{"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key = [redacted]"},
		{"xoxb-" + "123456789012-abcdefghijkl", "[redacted]"},
		{"token xoxe.xoxp-" + "1-Mi0yLTEyMzQ1", "token [redacted]"},
		{"xapp-" + "1-A0123-456-abcdef.", "[redacted]."},
		{"https://hooks.slack.com/services/T0/B0/XXXX ok", "https://hooks.slack.com/[redacted] ok"},
		{"https://discord.com/api/webhooks/123/abc-DEF_1", "https://discord.com/api/webhooks/123/[redacted]"},
		{"before\n" + pem + "\nafter", "before\n[redacted]\nafter"},
		{"-----BEGIN OPENSSH PRIVATE" + " KEY-----\nb3BlbnNz", "[redacted]"},
		{line64, "[redacted]"},
		{"a\n" + line64 + "\nb", "a\n[redacted]\nb"},
		{"password=hunter2", "password=[redacted]"},
		{"DB_PASSWORD: 'hunter2 x' next", "DB_PASSWORD: [redacted] next"},
		{`{"client_secret":"s3cr3t","user":"x"}`, `{"client_secret":[redacted],"user":"x"}`},
		{"PassWord = hunter2, user=bob", "PassWord = [redacted], user=bob"},
		{"mysql --password hunter2 -u bob", "mysql --password [redacted] -u bob"},
		{"api-key=abc&x=1", "api-key=[redacted]&x=1"},
		{"postgres://bob:hunter2@db/shop", "postgres://[redacted]@db/shop"},
		{"redis://:p@ss@db:6379", "redis://[redacted]@db:6379"},
		{"https://0123tok@example.com/x", "https://[redacted]@example.com/x"},
		{"ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789", "[redacted]"},
		{"github_pat_" + "11ABCDEFG0123456789_abcdef", "[redacted]"},
		{"glpat-" + "abcdefghij0123456789", "[redacted]"},
		{"sk_live_" + "abcdefghij0123", "[redacted]"},
		{"saw " + jwt + ".", "saw [redacted]."},
		{"MTIzNDU2Nzg5MDEyMzQ1Njc4" + ".GabcdE." + "abcdefghijklmnopqrstuvwxyz01", "[redacted]"},
		{"AWS Signature=abcdef0123&x", "AWS Signature=[redacted]&x"},
		{"case 4711 of ACME", "case [redacted] of ACME"},

		{"deploy shop v2 prod", "deploy shop v2 prod"},
		{"status shop/prod, 3 of 4 up: v2 (sha256:8f434346)", "status shop/prod, 3 of 4 up: v2 (sha256:8f434346)"},
		{"sha256 " + strings.Repeat("0a1B", 16), "sha256 " + strings.Repeat("0a1B", 16)},
		{strings.Repeat("0a1f", 16), strings.Repeat("0a1f", 16)},
		{"the basic plan; the bearer of news", "the basic plan; the bearer of news"},
		{"see https://example.com/a?b=c and mail bob@example.com", "see https://example.com/a?b=c and mail bob@example.com"},
		{"health check passed: 4 of 4", "health check passed: 4 of 4"},
		{"", ""}, {"é", "é"},
	} {
		log := New(Config{Redact: []*regexp.Regexp{regexp.MustCompile(`4711`), regexp.MustCompile(`Q*$`)}})
		got := log.Redact(c.in)
		if got != c.want {
			t.Errorf("%q\n got %q\nwant %q", c.in, got, c.want)
		}
		if again := log.Redact(got); again != got {
			t.Errorf("a second time: %q gives %q", got, again)
		}
	}
}

// Redacting what was redacted changes nothing, whatever surrounds the secrets.
func TestRedactTwice(t *testing.T) {
	log := New(Config{Redact: []*regexp.Regexp{regexp.MustCompile(`\S+-id`)}})
	part := rapid.OneOf(rapid.SampledFrom([]string{"password=", "token: ", "Bearer ", "Authorization: ", "://", "@", "hunter2", " ", "\n", "\"", "'", "=", ":", "[", "]",
		Redacted, "--secret ", "xoxb-1234567890", "user-id", "-----BEGIN PRIVATE KEY-----", "signature"}), rapid.StringN(0, 8, -1))
	rapid.Check(t, func(q *rapid.T) {
		s := strings.Join(rapid.SliceOfN(part, 0, 10).Draw(q, "parts"), "")
		once := log.Redact(s)
		if twice := log.Redact(once); twice != once {
			q.Fatalf("%q gives %q, then %q", s, once, twice)
		}
	})
}
