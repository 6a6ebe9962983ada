package githubprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"quarterdeck/bot"
)

// call names one thing that is asked of GitHub, for its sentences.
type call struct {
	what string // "list the deployments"
	// thing is what is not there when GitHub says 404.
	thing string
	// need is the permission that GitHub's reference asks for, for where its
	// answer does not say.
	need string
}

// What GitHub is asked, with the permission that its reference names for each.
var (
	callCreate     = call{"create a deployment", "commit", "deployments: write"}
	callDeploys    = call{"list deployments", "repository", "deployments: read"}
	callStatuses   = call{"read the deployment", "deployment", "deployments: read"}
	callTell       = call{"write a deployment's status", "deployment", "deployments: write"}
	callDispatch   = call{"start the workflow", "workflow", "actions: write"}
	callRuns       = call{"list the workflow's runs", "workflow", "actions: read"}
	callRun        = call{"read the workflow's run", "run", "actions: read"}
	callCancel     = call{"cancel the workflow's run", "run", "actions: write"}
	callCommit     = call{"read a commit", "commit", "contents: read"}
	callNames      = call{"list branches, tags and releases", "repository", "contents: read"}
	callCompare    = call{"compare two commits", "commit", "contents: read"}
	callPull       = call{"read a pull request", "pull request", "pull_requests: read"}
	callChecks     = call{"read the checks", "commit", "checks: read"}
	callCommitSays = call{"read the commit's statuses", "commit", "statuses: read"}
)

// permissions matches what GitHub says of permissions in its headers, and
// nothing else that somebody might put there.
var permissions = regexp.MustCompile(`^[a-z_:=,; ]{3,200}$`)

// failed is the adapter's edge: it translates whatever went wrong with a call
// into an Error. What GitHub wrote goes to the operator alone.
func (d *deployer) failed(c call, err error) error {
	var known *bot.Error
	if errors.As(err, &known) {
		return known
	}
	e := &bot.Error{Op: "github", Kind: bot.Unavailable, Err: err}
	var pause *limited
	var answer *github.ErrorResponse
	var rate *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var network net.Error
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &pause):
		e.Kind, e.RetryAfter = bot.Busy, pause.wait
		e.Say = fmt.Sprintf("%s; it may be asked again in %s", pause.why, pause.wait.Round(time.Second))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Say = bot.Timeout, "GitHub gave no answer in time"
	case errors.As(err, &abuse), errors.As(err, &rate): // those that say nothing in their headers
		e.Kind, e.RetryAfter = bot.Busy, defaultPause
		e.Say = "GitHub asks for a pause; it may be asked again in 1m0s"
	case errors.As(err, &answer) && answer.Response != nil:
		d.refused(c, e, answer)
	case errors.Is(err, tooLarge{}):
		e.Say = "GitHub's answer is too large to be read"
	case errors.As(err, &syntax), errors.As(err, &kind), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Say = "GitHub's answer makes no sense; is api_url of provider " + d.name + " the address of its API?"
	case errors.As(err, &network) && network.Timeout():
		e.Kind, e.Say = bot.Timeout, "GitHub gave no answer in time"
	default:
		e.Say = "GitHub cannot be reached"
	}
	return e
}

// refused says what an answer with an error's status means.
func (d *deployer) refused(c call, e *bot.Error, answer *github.ErrorResponse) {
	resp := answer.Response
	status := resp.StatusCode
	// Not answer itself: it prints the whole address, and keeps the request.
	e.Err = fmt.Errorf("%s: status %d: %s", c.what, status, vendor(answer))
	switch {
	case status == http.StatusUnauthorized:
		e.Say = fmt.Sprintf("GitHub does not accept the credentials of provider %s; they may have expired or been withdrawn", d.name)
	case status == http.StatusForbidden && strings.Contains(answer.Message, "rate limit"):
		e.Kind, e.RetryAfter = bot.Busy, defaultPause
		e.Say = "GitHub asks for a pause; it may be asked again in 1m0s"
	case status == http.StatusForbidden && resp.Header.Get("X-GitHub-SSO") != "":
		e.Kind = bot.Denied
		e.Say = fmt.Sprintf("GitHub denies to %s: the token of provider %s was not authorised for the organisation's single sign-on", c.what, d.name)
	case status == http.StatusForbidden:
		e.Kind = bot.Denied
		e.Say = fmt.Sprintf("GitHub denies to %s: the credentials of provider %s lack the permission %s in %s", c.what, d.name, lacking(c, resp.Header), d.slug())
	case status == http.StatusNotFound:
		e.Kind = bot.NotFound
		e.Say = fmt.Sprintf("GitHub shows no such %s in %s: it does not exist, or the credentials of provider %s may not see it", c.thing, d.slug(), d.name)
	case status == http.StatusConflict:
		e.Kind, e.Say = bot.Conflict, "GitHub refuses to "+c.what+": something else stands against it there"
	case status >= 300 && status < 400:
		e.Kind = bot.Invalid
		e.Say = fmt.Sprintf("%s was renamed or moved at GitHub; write its new name in the configuration", d.slug())
	case status >= 500:
		e.Say = "GitHub is out of order"
		if wait, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil && wait > 0 {
			e.RetryAfter = min(wait, maxPause)
		}
	default:
		e.Kind, e.Say = bot.Invalid, "GitHub refuses to "+c.what
	}
}

// lacking names the permission that was missing.
func lacking(c call, h http.Header) string {
	for _, key := range []string{"X-Accepted-GitHub-Permissions", "X-Accepted-OAuth-Scopes"} {
		if v := strings.TrimSpace(h.Get(key)); permissions.MatchString(v) {
			v = strings.NewReplacer(";", " or", "=", ": ", ",", ", ").Replace(v)
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return c.need
}

const maxVendor = 500

// vendor gives what GitHub wrote, for the operator's log.
func vendor(answer *github.ErrorResponse) string {
	text := answer.Message
	for _, e := range answer.Errors {
		text += "; " + strings.Join(strings.Fields(e.Resource+" "+e.Field+" "+e.Code+" "+e.Message), " ")
	}
	if len(text) > maxVendor {
		text = text[:maxVendor]
	}
	return text
}

// retriable reports whether asking the same once more may help.
func retriable(err error) bool {
	switch bot.KindOf(err) {
	case bot.Unavailable, bot.Timeout, bot.Busy:
		return true
	}
	return false
}
