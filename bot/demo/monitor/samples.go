// Package monitor is the demo's Prometheus: it keeps what the platform's instances
// say of themselves in memory, and answers the query API with Prometheus' own
// engine. It is no part of the bot, which reads it as it reads any other.
package monitor

import (
	"context"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

const (
	// retention is how long samples are kept: a demo's evening.
	retention = 2 * time.Hour
	// maxSeries bounds the memory, whatever an instance prints.
	maxSeries = 5000
)

// Samples holds every series in memory. Its zero value is empty and ready. It is
// safe for concurrent use and implements storage.Queryable.
type Samples struct {
	mu     sync.Mutex
	parser parser.Parser
	series map[string]*series             // by its labels as text
	of     map[string]map[string]struct{} // instance -> the series of its last scrape
}

type series struct {
	labels labels.Labels
	points []point // only ever appended to and cut at the front, so that readers need no copy
}

type point struct {
	t int64 // milliseconds since 1970
	v float64
}

// Scraped adds what an instance said of itself in the text format at a time; nil
// for one that could not be scraped. As in Prometheus, a series that an instance
// has no longer ends there and then, and up says whether it could be scraped.
func (s *Samples) Scraped(instance string, extra map[string]string, at time.Time, exposition []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.series == nil {
		s.series, s.of, s.parser = map[string]*series{}, map[string]map[string]struct{}{}, parser.NewParser(parser.Options{})
	}
	seen := map[string]struct{}{}
	up := 0.0
	if exposition != nil {
		up = 1
		for line := range strings.Lines(string(exposition)) {
			line = strings.TrimSpace(line)
			i := strings.LastIndexByte(line, ' ')
			if line == "" || line[0] == '#' || i < 0 {
				continue
			}
			metric, err := s.parser.ParseMetric(line[:i])
			v, errValue := strconv.ParseFloat(line[i+1:], 64)
			if err == nil && errValue == nil {
				s.add(s.labelled(metric, instance, extra), at, v, seen)
			}
		}
	}
	for key := range s.of[instance] {
		if _, still := seen[key]; !still && s.series[key] != nil {
			s.append(s.series[key], at, math.Float64frombits(value.StaleNaN))
		}
	}
	s.of[instance] = seen
	s.add(s.labelled(labels.FromStrings("__name__", "up"), instance, extra), at, up, nil)
	s.forget(at)
}

// Gone ends every series of an instance that is no more, up too.
func (s *Samples) Gone(instance string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.series {
		if n := len(one.points); one.labels.Get("instance") == instance && n > 0 && !value.IsStaleNaN(one.points[n-1].v) {
			s.append(one, at, math.Float64frombits(value.StaleNaN))
		}
	}
	delete(s.of, instance)
}

func (s *Samples) labelled(metric labels.Labels, instance string, extra map[string]string) labels.Labels {
	b := labels.NewBuilder(metric)
	for name, v := range extra {
		b.Set(name, v)
	}
	return b.Set("instance", instance).Labels()
}

func (s *Samples) add(l labels.Labels, at time.Time, v float64, seen map[string]struct{}) {
	key := l.String()
	one := s.series[key]
	if one == nil {
		if len(s.series) >= maxSeries {
			return
		}
		one = &series{labels: l}
		s.series[key] = one
	}
	s.append(one, at, v)
	if seen != nil {
		seen[key] = struct{}{}
	}
}

// append keeps the points of a series in order; one that is not newer is dropped.
func (s *Samples) append(one *series, at time.Time, v float64) {
	if n := len(one.points); n == 0 || one.points[n-1].t < at.UnixMilli() {
		one.points = append(one.points, point{at.UnixMilli(), v})
	}
}

// forget drops what is too old.
func (s *Samples) forget(now time.Time) {
	oldest := now.Add(-retention).UnixMilli()
	for key, one := range s.series {
		if cut := sort.Search(len(one.points), func(i int) bool { return one.points[i].t >= oldest }); cut > 0 {
			one.points = one.points[cut:]
		}
		if len(one.points) == 0 {
			delete(s.series, key)
		}
	}
}

// Querier implements storage.Queryable.
func (s *Samples) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{s, mint, maxt}, nil
}

type querier struct {
	samples    *Samples
	mint, maxt int64
}

// Select implements storage.Querier.
func (q *querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	q.samples.mu.Lock()
	defer q.samples.mu.Unlock()
	found := &set{}
	for _, one := range q.samples.series {
		if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.labels.Get(m.Name)) }) {
			continue
		}
		from := sort.Search(len(one.points), func(i int) bool { return one.points[i].t >= q.mint })
		to := sort.Search(len(one.points), func(i int) bool { return one.points[i].t > q.maxt })
		if from < to {
			found.series = append(found.series, storage.NewListSeries(one.labels, samplesOf(one.points[from:to])))
		}
	}
	slices.SortFunc(found.series, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return found
}

// LabelValues implements storage.Querier; no query asks for it.
func (q *querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames implements storage.Querier; no query asks for it.
func (q *querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (q *querier) Close() error { return nil }

// set is a storage.SeriesSet.
type set struct {
	series []storage.Series
	at     int
}

func (s *set) Next() bool                        { s.at++; return s.at <= len(s.series) }
func (s *set) At() storage.Series                { return s.series[s.at-1] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// sample is a point as the engine reads it.
type sample point

func samplesOf(points []point) []chunks.Sample {
	copied, out := make([]sample, len(points)), make([]chunks.Sample, len(points))
	for i, p := range points {
		copied[i] = sample(p)
		out[i] = &copied[i]
	}
	return out
}

func (s *sample) T() int64                      { return s.t }
func (s *sample) ST() int64                     { return 0 }
func (s *sample) F() float64                    { return s.v }
func (s *sample) H() *histogram.Histogram       { return nil }
func (s *sample) FH() *histogram.FloatHistogram { return nil }
func (s *sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s *sample) Copy() chunks.Sample           { c := *s; return &c }
