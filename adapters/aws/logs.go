package awsprovider

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// LogsTable is a target's logs table: the log groups in CloudWatch Logs.
type LogsTable struct {
	Provider string   `toml:"provider"`
	Groups   []string `toml:"groups"` // required: names or ARNs, at most 50
}

const (
	// maxGroups is how many log groups CloudWatch Logs looks through at once.
	//
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
	maxGroups = 50
	maxGrep   = 200
	// pollLogs is how long to wait between two looks at a query, which takes a
	// second or more.
	pollLogs = 500 * time.Millisecond
	// stopLogs bounds telling CloudWatch Logs that nobody waits for a query, which
	// would go on and cost.
	stopLogs = 3 * time.Second
)

// The form of a log group's name or ARN.
//
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
var logGroup = regexp.MustCompile(`^(arn:aws[a-z-]*:logs:[a-z0-9-]+:\d{12}:log-group:)?[.\-_/#A-Za-z0-9]{1,512}$`)

// BindLogs checks a target's logs table offline and binds it.
func (p *awsProvider) BindLogs(t bot.Target, raw provider.Raw) (provider.LogSource, error) {
	var table LogsTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	if len(table.Groups) == 0 || len(table.Groups) > maxGroups {
		return nil, bot.Errorf(bot.Invalid, `%s: the logs table of %s needs groups, 1 to %d names of log groups, such as ["/ecs/web"]`, raw.Where(), t, maxGroups)
	}
	for _, g := range table.Groups {
		if !logGroup.MatchString(g) {
			return nil, bot.Errorf(bot.Invalid, "%s: groups of %s holds %q, which is no name of a log group", raw.Where(), t, g)
		}
	}
	return &logSource{awsProvider: p, groups: table.Groups}, nil
}

var (
	_ provider.LogBinder = (*awsProvider)(nil)
	_ provider.LogSource = (*logSource)(nil)
)

// logSource is the log groups of one target.
type logSource struct {
	*awsProvider
	groups []string
}

func (s *logSource) logs(ctx context.Context) (*cloudwatchlogs.Client, error) {
	c, err := s.session(ctx, "")
	if err != nil {
		return nil, err
	}
	return cloudwatchlogs.NewFromConfig(c, func(o *cloudwatchlogs.Options) { o.Retryer = retrier(bot.Task{}) }), nil
}

// Lines asks CloudWatch Logs Insights, and waits for the answer as long as ctx
// lasts; a query that nobody waits for any more is stopped.
func (s *logSource) Lines(ctx context.Context, q provider.LogQuery) (provider.LogLines, error) {
	if len(q.Grep) > maxGrep || strings.ContainsFunc(q.Grep, unicode.IsControl) {
		return provider.LogLines{}, bot.Errorf(bot.Invalid, "what to look for in the logs may have %d characters, all on one line", maxGrep)
	}
	client, err := s.logs(ctx)
	if err != nil {
		return provider.LogLines{}, err
	}
	name := strings.Join(s.groups, ", ")
	begun, err := client.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{
		LogGroupIdentifiers: s.groups, QueryLanguage: types.QueryLanguageCwli,
		StartTime: aws.Int64(q.From.Unix()), EndTime: aws.Int64(q.To.Unix()),
		Limit: aws.Int32(int32(q.Limit)), QueryString: aws.String(insights(q)),
	})
	if err != nil {
		return provider.LogLines{}, s.failed(call{"logs:StartQuery", "log group", name}, err)
	}
	out, err := s.results(ctx, client, aws.ToString(begun.QueryId), name)
	if err != nil {
		return provider.LogLines{}, err
	}
	found := provider.LogLines{}
	if out.Statistics != nil {
		found.Matched = int64(out.Statistics.RecordsMatched)
	}
	for _, row := range out.Results[:min(len(out.Results), q.Limit)] {
		line, err := lineOf(row)
		if err != nil {
			return provider.LogLines{}, &bot.Error{Op: "aws", Kind: bot.Unavailable, Say: "CloudWatch Logs' answer makes no sense", Err: err}
		}
		if q.Grep == "" || strings.Contains(strings.ToLower(line.Text), strings.ToLower(q.Grep)) {
			found.Lines = append(found.Lines, line)
		}
	}
	slices.SortStableFunc(found.Lines, func(a, b provider.LogLine) int { return a.At.Compare(b.At) })
	return found, nil
}

// insights gives the query. What is looked for goes in as a pattern in which all
// but letters and digits stand for any one character, so that no text can end the
// pattern and add to the query; what is found is compared as it is.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Filter.html
func insights(q provider.LogQuery) string {
	query := "fields @timestamp, @message, @logStream"
	if q.Grep != "" {
		query += " | filter @message like /(?i)" + strings.Map(func(r rune) rune {
			if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
				return r
			}
			return '.'
		}, q.Grep) + "/"
	}
	return fmt.Sprintf("%s | sort @timestamp desc | limit %d", query, q.Limit)
}

func (s *logSource) results(ctx context.Context, client *cloudwatchlogs.Client, id, name string) (*cloudwatchlogs.GetQueryResultsOutput, error) {
	over := false
	defer func() {
		if over {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLogs)
		defer cancel()
		// That it cannot be stopped changes nothing for whoever asked.
		_, _ = client.StopQuery(ctx, &cloudwatchlogs.StopQueryInput{QueryId: aws.String(id)})
	}()
	for {
		out, err := client.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: aws.String(id)})
		if err != nil {
			return nil, s.failed(call{"logs:GetQueryResults", "log group", name}, err)
		}
		switch end := queryStates[out.Status]; {
		case out.Status == types.QueryStatusComplete:
			over = true
			return out, nil
		case end != "":
			over = true
			return nil, &bot.Error{Op: "aws", Kind: bot.Unavailable, Say: "CloudWatch Logs " + end, Err: fmt.Errorf("query %s is %q", id, out.Status)}
		}
		wait := time.NewTimer(pollLogs)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, s.failed(call{"logs:GetQueryResults", "log group", name}, ctx.Err())
		case <-wait.C:
		}
	}
}

// queryStates says what the states mean that give no result; "" goes on, and so
// does one that is not known, as long as the asker waits.
//
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetQueryResults.html
var queryStates = map[types.QueryStatus]string{
	types.QueryStatusScheduled: "",
	types.QueryStatusRunning:   "",
	types.QueryStatusComplete:  "",
	types.QueryStatusFailed:    "could not carry the query out",
	types.QueryStatusCancelled: "was told by somebody to stop the query",
	types.QueryStatusTimeout:   "took too long over the query; ask for a shorter time",
	types.QueryStatusUnknown:   "does not know what became of the query",
}

// lineOf reads one row of an answer.
func lineOf(row []types.ResultField) (l provider.LogLine, err error) {
	for _, f := range row {
		switch v := aws.ToString(f.Value); aws.ToString(f.Field) {
		case "@timestamp":
			// Two forms were seen: text in UTC, and milliseconds.
			if l.At, err = time.Parse("2006-01-02 15:04:05.000", v); err != nil {
				ms, wrong := strconv.ParseInt(v, 10, 64)
				if wrong != nil {
					return l, fmt.Errorf("%q is no time", clean(v, maxText))
				}
				l.At = time.UnixMilli(ms).UTC()
			}
		case "@message":
			l.Text = v
		case "@logStream":
			l.Stream = v
		}
	}
	if l.At.IsZero() {
		return l, errors.New("a line without a time")
	}
	return l, nil
}
