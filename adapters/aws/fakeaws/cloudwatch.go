package fakeaws

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// Line is what an expression gives in CloudWatch; found is false where it has no
// value.
type Line struct {
	Label string
	Value func(at time.Time) (value float64, found bool)
	// Status is of its results where it is not Complete.
	Status string
}

// Metrics is the CloudWatch of a Server: expressions by their text.
type Metrics struct {
	Lines map[string][]Line
	// Page is how many values a page has of each line; 0 for all.
	Page int
	// Messages are in every answer.
	Messages []string
}

// cloudWatch is the path that its client asks, in Smithy's RPC v2 protocol.
const cloudWatch = "/service/GraniteServiceVersion20100801/operation/"

// Measure sets what CloudWatch knows.
func (s *Server) Measure(m Metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metrics = m
}

// serveMetrics answers in CBOR. The caller holds mu.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	out, err := s.getMetricData(r, body)
	if err != nil {
		f, _ := err.(failure)
		failCBOR(w, f)
		return
	}
	_, _ = w.Write(cbor.Encode(out))
}

func failCBOR(w http.ResponseWriter, f failure) {
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	w.WriteHeader(f.status)
	_, _ = w.Write(cbor.Encode(cbor.Map{"__type": cbor.String("com.amazonaws.cloudwatch#" + f.code), "message": cbor.String(f.message)}))
}

func (s *Server) getMetricData(r *http.Request, body []byte) (cbor.Map, error) {
	if _, err := s.caller(r); err != nil {
		return nil, err
	}
	value, err := cbor.Decode(body)
	in, isMap := value.(cbor.Map)
	if err != nil || !isMap || r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		return nil, refuse("SerializationException", "%v", err)
	}
	start, end := momentOf(in["StartTime"]), momentOf(in["EndTime"])
	if !start.Before(end) {
		return nil, refuse("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
	}
	queries, _ := in["MetricDataQueries"].(cbor.List)
	var results cbor.List
	next := ""
	for _, q := range queries {
		query, _ := q.(cbor.Map)
		expr, _ := query["Expression"].(cbor.String)
		seconds, _ := query["Period"].(cbor.Uint)
		period := time.Duration(seconds) * time.Second
		lines, known := s.metrics.Lines[string(expr)]
		switch {
		case !known:
			return nil, refuse("ValidationError", "Error in expression 'q': Unknown function %.40s", expr)
		case period <= 0 || period%time.Minute != 0 && period != time.Second && period != 10*time.Second && period != 30*time.Second:
			return nil, refuse("ValidationError", "Period must be 1, 5, 10, 20, 30, or a multiple of 60 seconds")
		}
		for _, l := range lines {
			result, more := s.result(in, query, l, start, end, period)
			results = append(results, result)
			if more != "" {
				next = more
			}
		}
	}
	out := cbor.Map{"MetricDataResults": results}
	if next != "" {
		out["NextToken"] = cbor.String(next)
	}
	for _, m := range s.metrics.Messages {
		list, _ := out["Messages"].(cbor.List)
		out["Messages"] = append(list, cbor.Map{"Code": cbor.String("Info"), "Value": cbor.String(m)})
	}
	return out, nil
}

// result gives a page of one line: nothing where the period is not kept of that
// age, the newest first unless it is asked otherwise, and not the end itself.
func (s *Server) result(in, query cbor.Map, l Line, start, end time.Time, period time.Duration) (cbor.Map, string) {
	keeps := time.Minute
	switch age := s.o.Clock.Now().Sub(start); {
	case age > 63*24*time.Hour:
		keeps = time.Hour
	case age > 15*24*time.Hour:
		keeps = 5 * time.Minute
	case age <= 3*time.Hour:
		keeps = time.Second
	}
	var times []time.Time
	if period%keeps == 0 {
		for at := start.Truncate(period); at.Before(end); at = at.Add(period) {
			if _, found := l.Value(at); found {
				times = append(times, at)
			}
		}
	}
	if in["ScanBy"] != cbor.String("TimestampAscending") {
		for i, j := 0, len(times)-1; i < j; i, j = i+1, j-1 {
			times[i], times[j] = times[j], times[i]
		}
	}
	token, _ := in["NextToken"].(cbor.String)
	from, _ := strconv.Atoi(strings.TrimPrefix(string(token), "page-"))
	status, next := "Complete", ""
	times = times[min(from, len(times)):]
	if s.metrics.Page > 0 && len(times) > s.metrics.Page {
		times, status, next = times[:s.metrics.Page], "PartialData", "page-"+strconv.Itoa(from+s.metrics.Page)
	}
	if l.Status != "" {
		status = l.Status
	}
	stamps, values := cbor.List{}, cbor.List{}
	for _, at := range times {
		v, _ := l.Value(at)
		stamps = append(stamps, &cbor.Tag{ID: 1, Value: cbor.Float64(float64(at.UnixMilli()) / 1000)})
		values = append(values, cbor.Float64(v))
	}
	return cbor.Map{"Id": query["Id"], "Label": cbor.String(l.Label), "StatusCode": cbor.String(status), "Timestamps": stamps, "Values": values}, next
}

// momentOf reads a time: seconds since 1970.
func momentOf(v cbor.Value) time.Time {
	if tag, isTag := v.(*cbor.Tag); isTag {
		v = tag.Value
	}
	switch v := v.(type) {
	case cbor.Uint:
		return time.Unix(int64(v), 0).UTC()
	case cbor.Float64:
		return time.UnixMilli(int64(float64(v) * 1000)).UTC()
	}
	return time.Time{}
}
