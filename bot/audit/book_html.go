package audit

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"quarterdeck/bot"
)

//go:embed book.html.tmpl
var bookText string

// part is how a section is headed.
type part struct {
	Section Section
	Title   string
	Note    string
	Columns []string
	row     string // the template of its rows
}

func parts() []part {
	event := []string{"At (UTC)", "Run", "Who", "What", "Rule", "Words", "Result", "Records"}
	return []part{
		{SectionChange, "Changes", "Every run that was asked for in the period, once, with how it ended.",
			[]string{"Run", "What", "Asked by", "From → to", "Agreed", "Rule", "Words", "Times (UTC)", "Result", "Records"}, "change"},
		{SectionDenial, "Denials", "Attempts that were refused.", event, "event"},
		{SectionOverride, "Overrides", "Guards that were passed, and why.", event, "event"},
		{SectionReview, "Reviews", "What was done first and has to be looked at by another person; open ones stand here whenever they began.", event, "event"},
		{SectionObserved, "Observed", "Changes that were made without the bot.", event, "event"},
		{SectionRule, "Rules in force at the beginning", "People, roles, rules and settings, without secrets.", []string{"Rule", "Record"}, "rule"},
		{SectionSettings, "Changes of rules and settings", "What became different in the period, and values that were erased on purpose.", event, "event"},
	}
}

var bookTemplate = template.Must(template.New("book").Funcs(template.FuncMap{
	"period":   Scope.period,
	"stamp":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"sequence": Cover.sequence,
	"kinds":    Cover.byKind,
	"erased":   func(n int64) string { return count(n, "value") },
	"sections": parts,
	"tone": func(state string) string {
		switch toneOf(bot.RunState(state)) {
		case bot.Good:
			return "ok"
		case bot.Bad, bot.Warning:
			if state == "done" {
				return "ok"
			}
			return "no"
		}
		return ""
	},
}).Parse(bookText))

// period names whole days as the days that they are where the team works, and
// other periods by their ends.
func (s Scope) period() string {
	midnight := func(t time.Time) bool { return t.Hour()+t.Minute()+t.Second() == 0 }
	if !midnight(s.From) || !midnight(s.To) {
		return instant(s.From) + " to before " + instant(s.To)
	}
	const day = "2 January 2006"
	return fmt.Sprintf("%s to %s, %s", s.From.Format(day), s.To.AddDate(0, 0, -1).Format(day), s.From.Location())
}

// WriteHTML writes the Book as one page that needs nothing else: no scripts and
// nothing to fetch, everything from the log escaped, in tables on paper and in
// cards on a phone.
func (b *Book) WriteHTML(w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	write := func(name string, v any) error { return bookTemplate.ExecuteTemplate(out, name, v) }
	if err := write("head", b.Cover); err != nil {
		return err
	}
	for _, p := range parts() {
		if err := b.writePart(write, p); err != nil {
			return err
		}
	}
	if err := write("foot", nil); err != nil {
		return err
	}
	return out.Flush()
}

func (b *Book) writePart(write func(name string, v any) error, p part) error {
	if err := write("section", p); err != nil {
		return err
	}
	if b.Cover.Rows[p.Section] == 0 {
		return write("none", nil)
	}
	if err := write("table", p); err != nil {
		return err
	}
	if err := b.Each(p.Section, func(r Row) error { return write(p.row, r) }); err != nil {
		return err
	}
	return write("end", nil)
}
