package audit

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"quarterdeck/bot"
)

// SectionLog is the section of the Cover in the CSV form: each row's what names
// a fact, and its result is the fact.
const SectionLog Section = "log"

// WriteCSV writes the Book as one table: RFC 4180, UTF-8, the header columns,
// first the Cover as rows of section log. A cell that a spreadsheet would take
// for a formula, because it begins with = + - or @, in ASCII or in full width,
// behind whatever space there is, or with a tab or an end of line, gets an
// apostrophe in front
// (https://owasp.org/www-community/attacks/CSV_Injection).
func (b *Book) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	write := func(cells []string) error {
		for i, c := range cells {
			cells[i] = harmless(c)
		}
		return out.Write(cells)
	}
	if err := write(columns()); err != nil {
		return err
	}
	for _, f := range b.Cover.facts() {
		if err := write((Row{Section: SectionLog, At: b.Cover.Made, What: f[0], Result: f[1], Records: f[2]}).cells()); err != nil {
			return err
		}
	}
	for _, s := range Sections() {
		if err := b.Each(s, func(r Row) error { return write(r.cells()) }); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a cell from being taken for a formula. Carriage returns within
// are taken out, since the writer would turn them into line ends.
func harmless(cell string) string {
	if cell == "" {
		return ""
	}
	quoted := strings.ContainsRune("\t\r\n", rune(cell[0]))
	cell = strings.ReplaceAll(cell, "\r", " ")
	quoted = quoted || formula(cell)
	if quoted {
		return "'" + cell
	}
	return cell
}

// formula reports whether a spreadsheet may take s for one.
func formula(s string) bool {
	s = strings.TrimLeftFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
	r, _ := utf8.DecodeRuneInString(s)
	return strings.ContainsRune("=+-@＝＋－＠−", r) && s != ""
}

// facts gives the Cover as name, value and the records that it is about.
func (c Cover) facts() [][3]string {
	of := func(s spans) string { return s.String() }
	facts := [][3]string{
		{"period", instant(c.Scope.From) + " to before " + instant(c.Scope.To), ""},
		{"targets", orElse(c.Scope.Target, "all"), ""},
		{"made", instant(c.Made), ""},
		{"log", c.Log, ""},
		{"verification", c.Verified.Summary(), ""},
	}
	for _, p := range c.Verified.Problems {
		facts = append(facts, [3]string{"problem: " + string(p.Kind), p.Say, ""})
	}
	if c.Verified.More > 0 {
		facts = append(facts, [3]string{"further problems", fmt.Sprint(c.Verified.More), ""})
	}
	facts = append(facts, [3]string{"head", c.Verified.Hash, of(spans{{c.Verified.To, c.Verified.To}})})
	if c.Checkpoint.V != 0 {
		facts = append(facts, [3]string{"checkpoint", c.Checkpoint.String(), of(spans{{c.Checkpoint.Seq, c.Checkpoint.Seq}})})
	} else {
		facts = append(facts, [3]string{"checkpoint", "none was held against the log", ""})
	}
	facts = append(facts, [3]string{"values erased on purpose", fmt.Sprint(c.Verified.Erased), ""})
	if c.First > 0 {
		facts = append(facts, [3]string{"records in the period", c.sequence(), of(spans{{c.First, c.Last}})})
	} else {
		none := "none"
		if missing := c.Missing(); missing != "" {
			none += "; " + missing
		}
		facts = append(facts, [3]string{"records in the period", none, ""})
	}
	facts = append(facts, [3]string{"records by kind", c.byKind(), ""})
	for _, s := range Sections() {
		facts = append(facts, [3]string{"rows of " + string(s), fmt.Sprint(c.Rows[s]), ""})
	}
	return append(facts, [3]string{"rules", c.Rules, ""})
}

// sequence says that the period's records are all there, or which are not.
func (c Cover) sequence() string {
	s := fmt.Sprintf("%d to %d, %s", c.First, c.Last, count(c.Last-c.First+1, "record"))
	for _, p := range c.Verified.Problems {
		if p.Kind == Removed || p.Kind == CutOff || p.Kind == Reordered {
			return s + ", not without a gap: see the verification"
		}
	}
	if missing := c.Missing(); missing != "" {
		return s + "; " + missing
	}
	return s + ", none missing"
}

// Missing says what of the period is not in the report because it lies in an
// archive that was not read; "" for nothing.
func (c Cover) Missing() string {
	v := c.Verified
	if v.Archived == 0 || v.From <= v.Archived || c.First > v.From {
		return ""
	}
	return fmt.Sprintf("records up to %d lie in the archive, and those of the period are NOT in this report; add --archive DIR", v.Archived)
}

// byKind counts the records of the period: "3 requested, 2 started, 40 reads".
func (c Cover) byKind() string {
	var parts []string
	for _, k := range sortedKinds(c.Kinds) {
		parts = append(parts, fmt.Sprintf("%d %s", c.Kinds[k], k))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ") + "; " + fmt.Sprintf("%d of these read only", c.Reads)
}

func sortedKinds(m map[bot.RecordKind]int64) []bot.RecordKind {
	var list []bot.RecordKind
	for _, k := range []bot.RecordKind{bot.Requested, bot.DeniedRecord, bot.ConfirmedKind, bot.Approved, bot.Started, bot.Step, bot.SucceededKind,
		bot.FailedKind, bot.CancelledKind, bot.ExpiredKind, bot.UnknownKind, bot.OverriddenKind, bot.ReviewedKind, bot.ObservedKind, bot.ConfiguredKind} {
		if m[k] > 0 {
			list = append(list, k)
		}
	}
	return list
}
