package router

import (
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// Secrets that people type are hidden here, before anything is stored or made of
// a line: what reaches the inbox, runs, their Specs, the providers, cards and
// posts is what the log holds. So a reason goes on with the mark in it. An
// argument does not: what would run would not be what was typed, and the secret
// itself is in the chat's history by then, so the line is refused, whatever it
// asks for, and says what to do instead.

// Hidden gives a line without the secrets in it, as it may be kept. One that is understood keeps
// its meaning but for them; of any other only the text is searched.
func (r *Router) Hidden(line string) string {
	p, err := r.Grammar.Parse(line)
	if err != nil {
		return r.Recorder.Redact(line)
	}
	safe := r.Grammar.Hide(p, r.Recorder.Redact)
	if safe.Line == p.Line {
		return line // as it was typed
	}
	return safe.Line
}

// withoutSecrets refuses a line of which an argument was hidden.
func withoutSecrets(p grammar.Parsed) error {
	for _, param := range append(append([]bot.Param(nil), p.Command.Params...), p.Command.Options...) {
		if strings.Contains(p.Args[param.Name], bot.Redacted) {
			return bot.Errorf(bot.Invalid, "not run: %s holds what looks like a secret, and whatever is typed here is kept; take it for leaked, and let what runs read it from a file", strings.ToUpper(param.Name))
		}
	}
	return nil
}
