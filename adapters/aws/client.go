package awsprovider

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"quarterdeck/bot"
)

// timing is that of every operation: ECS is consistent in the end only, within
// seconds.
var timing = bot.Timing{Call: 15 * time.Second, Settle: 15 * time.Second}

const (
	httpTimeout = 10 * time.Second
	// readAttempts bounds how often a read of a command is sent. What an operation
	// sends is sent once: its engine decides about a retry.
	readAttempts = 3
	readBackoff  = 500 * time.Millisecond
	// maxSessions bounds the sessions kept, one for each person.
	maxSessions = 100
)

// sessions are a provider's credentials, read when they are first needed.
type sessions struct {
	http     aws.HTTPClient
	mu       sync.Mutex
	base     *aws.Config
	byPerson map[string]aws.CredentialsProvider
}

// session gives the configuration to call AWS as a person; "" for the bot's own
// reads.
func (p *awsProvider) session(ctx context.Context, person string) (aws.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.base == nil {
		c, err := config.LoadDefaultConfig(ctx, config.WithRegion(p.settings.Region),
			config.WithHTTPClient(p.http))
		if err != nil {
			return aws.Config{}, p.noCredentials(err)
		}
		if p.settings.Endpoint != "" {
			c.BaseEndpoint = aws.String(p.settings.Endpoint)
		}
		c.Credentials = aws.NewCredentialsCache(chain{p, c.Credentials})
		p.base, p.byPerson = &c, map[string]aws.CredentialsProvider{}
	}
	c := p.base.Copy()
	if p.settings.RoleARN == "" {
		return c, nil
	}
	if p.byPerson[person] == nil {
		if len(p.byPerson) >= maxSessions {
			clear(p.byPerson)
		}
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c, func(o *sts.Options) { o.RetryMaxAttempts = 1 }), p.settings.RoleARN,
			func(o *stscreds.AssumeRoleOptions) {
				o.RoleSessionName = sessionName(person)
				if person != "" {
					o.Tags = []ststypes.Tag{{Key: aws.String(tagPerson), Value: aws.String(tagValue(person))}}
				}
			})
		p.byPerson[person] = aws.NewCredentialsCache(chain{p, role}, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = time.Minute })
	}
	c.Credentials = p.byPerson[person]
	return c, nil
}

var notInSession = regexp.MustCompile(`[^\w+=,.@-]`)

// sessionName is what CloudTrail shows of who acted.
func sessionName(person string) string {
	name := "quarterdeck"
	if person != "" {
		name += "-" + notInSession.ReplaceAllString(person, "-")
	}
	return name[:min(len(name), 64)]
}

// chain says in a sentence why there are no credentials.
type chain struct {
	p    *awsProvider
	from aws.CredentialsProvider
}

// Retrieve implements aws.CredentialsProvider.
func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.from.Retrieve(ctx)
	if err != nil {
		return got, c.p.noCredentials(err)
	}
	return got, nil
}

// noCredentials translates why there are none.
func (p *awsProvider) noCredentials(err error) error {
	var known *bot.Error
	if errors.As(err, &known) {
		return known
	}
	e := p.failed(call{"sts:AssumeRole", "role", p.settings.RoleARN}, err)
	if errors.As(e, &known) && known.Kind == bot.Unavailable && !isAnswer(err) {
		known.Say = "no credentials for provider " + p.name + " can be had; they are looked for where AWS's own tools look"
	}
	return e
}

// ecs gives the client for one call as a person; under names the run for
// CloudTrail, in the user agent, and "" is a read that may be sent again.
func (p *awsProvider) ecs(ctx context.Context, t bot.Task) (*ecs.Client, error) {
	c, err := p.session(ctx, t.Actor)
	if err != nil {
		return nil, err
	}
	return ecs.NewFromConfig(c, func(o *ecs.Options) {
		o.Retryer = retrier(t)
		if t.Key != "" {
			o.APIOptions = append(o.APIOptions, awsmiddleware.AddUserAgentKeyValue("quarterdeck-run", t.Key))
		}
	}), nil
}

// ecr gives the client of the registry in a region.
func (p *awsProvider) ecr(ctx context.Context, region string) (*ecr.Client, error) {
	c, err := p.session(ctx, "")
	if err != nil {
		return nil, err
	}
	return ecr.NewFromConfig(c, func(o *ecr.Options) { o.Region, o.Retryer = region, retrier(bot.Task{}) }), nil
}

func retrier(t bot.Task) aws.Retryer {
	if t.Key != "" {
		return aws.NopRetryer{}
	}
	return aws.RetryerV2(newReadRetryer())
}
