package awsprovider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"quarterdeck/bot"
)

// call names one thing that is asked of AWS, for its sentences.
type call struct {
	need  string // the permission that it takes: "ecs:UpdateService"
	thing string // what is not there when AWS says so
	name  string // and its name
}

// failed is the adapter's edge: it translates whatever went wrong with a call.
// What AWS wrote goes to the operator alone.
func (p *awsProvider) failed(c call, err error) error {
	var known *bot.Error
	if errors.As(err, &known) {
		return known
	}
	e := &bot.Error{Op: "aws", Kind: bot.Unavailable, Err: fmt.Errorf("%s: %s", c.need, clean(p.redact(err.Error()), maxVendor))}
	var answer smithy.APIError
	var response *smithyhttp.ResponseError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Say = bot.Timeout, "AWS gave no answer in time"
	case errors.As(err, &answer):
		p.refused(c, e, answer, status(err))
	case errors.As(err, &response) && response.HTTPStatusCode() > 0: // 0 is no answer at all
		e.Say = "AWS is out of order"
		if code := response.HTTPStatusCode(); code < 500 {
			e.Say = "AWS's answer makes no sense; is endpoint of provider " + p.name + " the address of AWS?"
		}
	case errors.As(err, &network) && network.Timeout():
		e.Kind, e.Say = bot.Timeout, "AWS gave no answer in time"
	default:
		e.Say = "AWS cannot be reached in " + p.settings.Region
	}
	return e
}

func status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// isAnswer reports whether AWS itself answered.
func isAnswer(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer)
}

// lacks finds the permission in AWS's words: it is not always that of the call,
// as with iam:PassRole.
var lacks = regexp.MustCompile(`not authorized to perform: ([a-z0-9-]{2,40}:[A-Za-z]{2,80})`)

const throttlePause = 5 * time.Second

// refused says what AWS's own error means. The codes are those of the services'
// models and of "Common errors" in their references.
//
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html
func (p *awsProvider) refused(c call, e *bot.Error, answer smithy.APIError, status int) {
	switch code := answer.ErrorCode(); code {
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired":
		need := c.need
		if m := lacks.FindStringSubmatch(answer.ErrorMessage()); m != nil {
			need = m[1]
		}
		e.Kind, e.Say = bot.Denied, fmt.Sprintf("AWS denies it: provider %s lacks the permission %s for %s %s in %s", p.name, need, c.thing, c.name, p.settings.Region)
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId", "IncompleteSignature", "MissingAuthenticationTokenException", "MissingAuthenticationToken":
		e.Say = fmt.Sprintf("AWS does not accept the credentials of provider %s; they may have expired or been withdrawn", p.name)
	case "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed":
		e.Say = fmt.Sprintf("AWS does not accept the signature of provider %s; its key is wrong, or this machine's clock is", p.name)
	case "ClusterNotFoundException", "ServiceNotFoundException", "RepositoryNotFoundException", "ImageNotFoundException", "ResourceNotFoundException", "ServiceDeploymentNotFoundException":
		e.Kind, e.Say = bot.NotFound, fmt.Sprintf("AWS knows no %s %s in %s", c.thing, c.name, p.settings.Region)
		if code == "ClusterNotFoundException" {
			e.Say = fmt.Sprintf("AWS knows no such cluster for %s %s in %s", c.thing, c.name, p.settings.Region)
		}
	case "ServiceNotActiveException":
		e.Kind, e.Say = bot.Conflict, fmt.Sprintf("%s %s is not active any more", c.thing, c.name)
	case "ConflictException", "UpdateInProgressException", "ResourceInUseException":
		e.Kind, e.Say = bot.Conflict, fmt.Sprintf("something else stands against it at AWS for %s %s", c.thing, c.name)
	default:
		switch {
		case throttled(code) || status == http.StatusTooManyRequests:
			e.Kind, e.RetryAfter, e.Say = bot.Busy, throttlePause, "AWS asks for a pause"
		case status >= 500 || answer.ErrorFault() == smithy.FaultServer || code == "ServerException":
			e.Say = "AWS is out of order"
		case code == "UnknownError" || code == "":
			e.Say = "AWS's answer makes no sense; is endpoint of provider " + p.name + " the address of AWS?"
		default:
			e.Kind, e.Say = bot.Invalid, fmt.Sprintf("AWS refuses %s for %s %s", c.need, c.thing, c.name)
		}
	}
}

// throttled reports whether AWS did nothing and wants to be asked later.
func throttled(code string) bool {
	_, found := retry.DefaultThrottleErrorCodes[code]
	return found
}

// newReadRetryer sends reads again a few times, with short pauses.
func newReadRetryer() *retry.Standard {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = readAttempts, readBackoff })
}

const (
	maxVendor = 500
	maxText   = 200
)

// clean gives text as one line of bounded length.
func clean(text string, most int) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return text
}

// codeOf gives AWS's own word for an error, "" where it did not answer with one.
func codeOf(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}
