package audit

import (
	"regexp"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Redacted stands where a secret was.
const Redacted = bot.Redacted

// shape is one known shape of secret. A value is searched with the expression
// only when one of its hints, in lower case, occurs in it: most values hold
// none, and an expression costs far more than that look.
type shape struct {
	hints []string
	match *regexp.Regexp
	put   string // replaces the match, as for regexp.ReplaceAllString
	min   int    // no secret of this shape is shorter, in bytes
}

type redactor struct {
	shapes     []shape
	hints      [256][]hint // by first byte
	configured []*regexp.Regexp
	secrets    *bot.Secrets // may be nil
}

// hint is what the shapes in the set have in common.
type hint struct {
	text   string
	shapes uint64 // bit i for shape i
}

func newRedactor(configured []*regexp.Regexp) *redactor {
	whole := func(expr string, hints ...string) shape {
		return shape{hints: hints, match: regexp.MustCompile(expr), put: Redacted}
	}
	keeping := func(expr, put string, hints ...string) shape {
		return shape{hints: hints, match: regexp.MustCompile(expr), put: put}
	}
	const names = `(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|credentials?|signature)`
	const (
		// texts are quoted values, in JSON, in JSON inside JSON and in a shell. What
		// was cut off before its closing mark is still one.
		texts = `\\"(?:[^"\\\n]|\\\\(?:\\["\\]|[^"\\])|\\[^"\\\n])*(?:\\")?|\\+"[^"\n]*"?|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?`
		// assign stands between a name and its value, which may follow on the next
		// line or be called a value once more.
		assign = `\\*["']?\s*(?:=>|:=|[=:]|%3[ad])\s*(?:-\s+)?(?:value["']?\s*[:=]\s*)?`
		block  = `[|>][+0-9-]*[ \t]*(?:\n[ \t]+[^\n]*)+`
		object = `\{(?:\\.|"(?:[^"\\]|\\.)*"|[^"{}\\]|\{(?:\\.|"(?:[^"\\]|\\.)*"|[^"{}\\])*\})*(?:\}|$)`
		list   = `\[\s*(?:\\*"[^"]*"[\s,]*)+\]?|\[[^\]\n]*\]`
		value  = `(?:` + block + `|` + object + `|` + list + `|` + texts + `|[^\s"',;&]+)`
	)
	d := &redactor{configured: configured, shapes: []shape{
		// A key block that was cut off before its end is still one.
		whole(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|$)`, "private key"),
		// The end of one whose beginning was cut off.
		whole(`(?m)(?:^[ \t]*[A-Za-z0-9+/=]{16,}[ \t]*\n)*(?:^[ \t]*[A-Za-z0-9+/=]+[ \t]*\n)?^[ \t]*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`, "private key"),
		keeping(`(?i)\b((?:proxy-)?authorization["']?\s*[:=]\s*["']?)(?:(?:basic|bearer|token|digest|negotiate|splunk)\s+)?[^\s"',\[]+`, "${1}"+Redacted, "authorization"),
		keeping(`(?i)\b(bearer\s+)[a-z0-9._~+/=-]{8,}`, "${1}"+Redacted, "bearer"),
		// A link that carries its user's name and password, or a token in place of
		// both. A password may hold a slash; what begins with digits and a slash is
		// a port and a path.
		keeping(`([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/"'<>]+|[^\s:/@"'<>\[]+:[^\s/"'<>@]*[^0-9\s/"'<>@][^\s/"'<>@]*/[^\s"'<>@]*)@`, "${1}"+Redacted+"@", "://"),
		keeping(`[^\s"'(:/@=]+:[^\s"']*@((?:tcp|udp)[46]?\(|unix\()`, Redacted+"@${1}", "@tcp", "@udp", "@unix"),
		keeping(`(?i)((?:`+names+`[a-z0-9_-]*|[a-z0-9]_pass|(?-i:[a-z0-9]Pass))`+assign+`)`+value, "${1}"+Redacted,
			"pass", "pwd", "secret", "token", "key", "credential", "signature"),
		keeping(`(?i)(["']pass\\*["']\s*(?:=>|:=|[=:])\s*)(?:`+texts+`)`, "${1}"+Redacted, "pass"),
		// A few digits are how many tests pass.
		keeping(`(?i)\b(pass=)(?:`+texts+`|[^\s"',;&]*[^\s"',;&0-9][^\s"',;&]*|[0-9]{5,})`, "${1}"+Redacted, "pass="),
		keeping(`(?i)(`+names+`[a-z0-9_-]*\s+)\[[^\]\s]+\]`, "${1}"+Redacted, "["),
		keeping(`(?i)([a-z0-9]_`+names+`\s+["']?)[a-z0-9/+=]{20,}`, "${1}"+Redacted, "_secret", "_access", "_token", "_pass", "_private", "_api", "_pwd"),
		keeping(`(?i)((?:^|\s)(?:--?[a-z0-9-]*`+names+`|--(?:[a-z0-9-]+-)?pass)\s+)("[^"\n]*"|'[^'\n]*'|[^\s"'-][^\s"']*)`, "${1}"+Redacted,
			"-pass", "-pwd", "-secret", "-token", "-api", "-access", "-private", "-signing", "-credential", "key "),
		keeping(`(\b(?:mysql[a-z_]*|mariadb[a-z-]*|mycli)\b[^\n|;]*?\s-p)("[^"\n]*"|'[^'\n]*'|[^\s"']+)`, "${1}"+Redacted, "mysql", "mariadb", "mycli"),
		keeping(`(\b(?:sshpass\s+-p|redis-cli\b[^\n|;]*?\s-a)\s*)("[^"\n]*"|'[^'\n]*'|[^\s"']+)`, "${1}"+Redacted, "sshpass", "redis-cli"),
		keeping(`(\bcurl\b[^\n|]*?\s(?:-[a-zA-Z]*[uU]|--user|--proxy-user)[ \t=]*)(?:"[^"\n]*:[^"\n]*"|'[^'\n]*:[^'\n]*'|[^\s"':]+:[^\s"']+)`, "${1}"+Redacted, "curl"),
		whole(`\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b`, "akia", "asia", "abia", "acca"),
		whole(`\bxox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}`, "xox"),
		whole(`\bxapp-[A-Za-z0-9-]{8,}`, "xapp-"),
		keeping(`(hooks\.slack(?:-gov)?\.com/)[A-Za-z0-9/_-]+`, "${1}"+Redacted, "hooks.slack"),
		keeping(`(/api/webhooks/[0-9]+/)[A-Za-z0-9_-]+`, "${1}"+Redacted, "/api/webhooks/"),
		whole(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})`, "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
		whole(`\bglpat-[A-Za-z0-9_-]{16,}`, "glpat-"),
		whole(`\b[sr]k_(?:live|test)_[A-Za-z0-9]{10,}`, "k_live_", "k_test_"),
		whole(`\bAIza[A-Za-z0-9_-]{35}`, "aiza"),
		whole(`\bnpm_[A-Za-z0-9]{30,}`, "npm_"),
		whole(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`, "eyj"),
		whole(`\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}`, "."),
	}}
	d.shapes[len(d.shapes)-1].min = 58
	for i, s := range d.shapes {
		for _, text := range s.hints {
			d.addHint(text, 1<<i)
		}
	}
	return d
}

func (d *redactor) addHint(text string, shape uint64) {
	list := d.hints[text[0]]
	for i := range list {
		if list[i].text == text {
			list[i].shapes |= shape
			return
		}
	}
	d.hints[text[0]] = append(list, hint{text, shape})
}

// hinted gives the shapes of which a hint occurs in s.
func (d *redactor) hinted(s string) (shapes uint64) {
	for i := range len(s) {
		for _, h := range d.hints[lower(s[i])] {
			if shapes&h.shapes != h.shapes && beginsFold(s[i:], h.text) {
				shapes |= h.shapes
			}
		}
	}
	return shapes
}

// redact replaces what any pattern matches, until nothing does: what one of
// them leaves may be what another looks for. Safe for concurrent use.
func (d *redactor) redact(s string) string {
	const rounds = 8
	patterns := d.configured
	if learnt := d.secrets.Patterns(); len(learnt) > 0 {
		patterns = slices.Concat(learnt, patterns)
	}
	for range rounds {
		next := d.round(s, patterns)
		if next == s {
			break
		}
		s = next
	}
	return s
}

func (d *redactor) round(s string, patterns []*regexp.Regexp) string {
	if shapes := d.hinted(s); shapes != 0 {
		for i := range d.shapes {
			if h := &d.shapes[i]; shapes&(1<<i) != 0 && len(s) >= h.min {
				s = h.match.ReplaceAllString(s, h.put)
			}
		}
	}
	s = keyLines(s)
	for _, p := range patterns {
		s = between(s, p)
	}
	if len(patterns) > 0 {
		s = undisguised(s, patterns)
	}
	for strings.Contains(s, Redacted+Redacted) {
		s = strings.ReplaceAll(s, Redacted+Redacted, Redacted)
	}
	return s
}

// keyLines redacts lines that look like the inside of a key block, for output
// that comes line by line, and the short line that such a block ends with.
func keyLines(s string) string {
	if len(s) < minKeyLine {
		return s
	}
	found := false
	for line := range strings.SplitSeq(s, "\n") {
		found = found || keyLine(line)
	}
	if !found {
		return s
	}
	lines := strings.Split(s, "\n")
	inside := false
	for i, line := range lines {
		if keyLine(line) || inside && keyMaterial(strings.TrimSpace(line)) {
			lines[i], inside = Redacted, true
			continue
		}
		inside = inside && strings.TrimSpace(line) == Redacted
	}
	return strings.Join(lines, "\n")
}

// minKeyLine is the least number of characters that tell a line of a key from a
// word.
const minKeyLine = 40

// keyLine reports whether a line is nothing but base64: of a length that tools
// write, or of any length where it changes between capitals, small letters and
// digits as often as chance has it, which paths and names do not. A checksum in
// hexadecimal has 64 characters too and stays.
func keyLine(line string) bool {
	line = strings.TrimSpace(line)
	if len(line) < minKeyLine || !keyMaterial(line) {
		return false
	}
	if len(line) == 64 || len(line) == 70 {
		return true
	}
	changes := 0
	for i := 1; i < len(line); i++ {
		if kindOf(line[i]) != kindOf(line[i-1]) {
			changes++
		}
	}
	return changes*100 >= len(line)*45
}

func kindOf(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return 0
	case c >= 'a' && c <= 'z':
		return 1
	case c >= '0' && c <= '9':
		return 2
	}
	return 3
}

// keyMaterial reports whether s is base64 with capitals, small letters and
// digits, beyond what is hexadecimal.
func keyMaterial(s string) bool {
	s = strings.TrimRight(s, "=")
	var capital, small, digit, beyond bool
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z':
			capital, beyond = true, beyond || c > 'F'
		case c >= 'a' && c <= 'z':
			small, beyond = true, beyond || c > 'f'
		case c >= '0' && c <= '9':
			digit = true
		case c != '+' && c != '/':
			return false
		}
	}
	return capital && small && digit && beyond
}

// between applies p to what lies between the marks already set, so that a
// pattern such as \S+ does not eat them. A pattern that matches nothing at all
// hides nothing.
func between(s string, p *regexp.Regexp) string {
	mark := func(match string) string {
		if match == "" {
			return ""
		}
		return Redacted
	}
	if !strings.Contains(s, Redacted) {
		return p.ReplaceAllStringFunc(s, mark)
	}
	parts := strings.Split(s, Redacted)
	for i, part := range parts {
		parts[i] = p.ReplaceAllStringFunc(part, mark)
	}
	return strings.Join(parts, Redacted)
}

// beginsFold reports whether s begins with text, which is ASCII in lower case,
// in whatever case.
func beginsFold(s, text string) bool {
	if len(s) < len(text) {
		return false
	}
	for i := 1; i < len(text); i++ { // the caller compared the first
		if lower(s[i]) != text[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
