package execprovider

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// LogsTable is a target's logs table.
type LogsTable struct {
	Provider string   `toml:"provider"`
	Argv     []string `toml:"argv"` // required; prints the lines that OP_GREP, OP_SINCE, OP_UNTIL and OP_LIMIT ask for
}

const (
	maxGrep    = 200 // of what is looked for, in bytes
	maxLogLine = 2000
)

// BindLogs checks a target's logs table and binds it. It starts nothing.
func (p *execProvider) BindLogs(t bot.Target, raw provider.Raw) (provider.LogSource, error) {
	var table LogsTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	switch {
	case len(table.Argv) == 0 || table.Argv[0] == "":
		return nil, bot.Errorf(bot.Invalid, "%s: the logs table of %s needs argv, an array such as [\"./platform\", \"logs\"]", raw.Where(), t)
	case slices.ContainsFunc(table.Argv, func(a string) bool { return strings.ContainsRune(a, 0) }):
		return nil, bot.Errorf(bot.Invalid, "%s: argv of %s holds a NUL character, which no argument can hold", raw.Where(), t)
	}
	return &logSource{as: &deployer{execProvider: p, target: t}, argv: table.Argv}, nil
}

var (
	_ provider.LogBinder = (*execProvider)(nil)
	_ provider.LogSource = (*logSource)(nil)
)

// logSource is the logs of one target, which a program reads.
type logSource struct {
	as   *deployer
	argv []string
}

// Lines asks the program. Whatever it prints beyond what was asked for is left
// out. Errors are as for Current of a deployment.
func (s *logSource) Lines(ctx context.Context, q provider.LogQuery) (provider.LogLines, error) {
	if len(q.Grep) > maxGrep || strings.ContainsRune(q.Grep, 0) {
		return provider.LogLines{}, bot.Errorf(bot.Invalid, "what to look for in the logs may have %d characters, none of them NUL", maxGrep)
	}
	var said struct {
		Lines []struct {
			At     time.Time `json:"at"`
			Stream string    `json:"stream"`
			Text   string    `json:"text"`
		} `json:"lines"`
		URL string `json:"url"`
	}
	hide, err := s.as.ask(ctx, "logs", s.argv, &said,
		variable{"OP_GREP", q.Grep}, variable{"OP_LIMIT", strconv.Itoa(q.Limit)},
		variable{"OP_SINCE", q.From.UTC().Format(time.RFC3339)}, variable{"OP_UNTIL", q.To.UTC().Format(time.RFC3339)})
	if err != nil {
		return provider.LogLines{}, err
	}
	if said.Lines == nil {
		return provider.LogLines{}, s.as.unreadable("logs", fmt.Errorf("no lines"))
	}
	found := provider.LogLines{Link: s.as.show(said.URL, hide, maxLink)}
	for _, l := range said.Lines {
		if q.Grep == "" || strings.Contains(strings.ToLower(l.Text), strings.ToLower(q.Grep)) {
			found.Lines = append(found.Lines, provider.LogLine{At: l.At, Stream: s.as.show(l.Stream, hide, maxName), Text: s.as.show(l.Text, hide, maxLogLine)})
		}
	}
	slices.SortStableFunc(found.Lines, func(a, b provider.LogLine) int { return a.At.Compare(b.At) })
	found.Lines = found.Lines[max(0, len(found.Lines)-q.Limit):]
	return found, nil
}
