package fakeaws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Object is one object in a bucket.
type Object struct {
	Body  []byte
	Mode  string
	Until time.Time
}

// Bucket makes a bucket; locks says that it has Object Lock.
func (s *Server) Bucket(name string, locks bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets == nil {
		s.buckets = map[string]*bucket{}
	}
	s.buckets[name] = &bucket{locks: locks, objects: map[string]*Object{}}
}

// Objects gives what a bucket holds, by key.
func (s *Server) Objects(name string) map[string]Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Object{}
	for k, o := range s.buckets[name].objects {
		all[k] = *o
	}
	return all
}

// Tamper changes an object behind everybody's back, which Object Lock would not
// allow; nil takes it away.
func (s *Server) Tamper(name, key string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if body == nil {
		delete(s.buckets[name].objects, key)
		return
	}
	s.buckets[name].objects[key].Body = body
}

type bucket struct {
	locks   bool
	objects map[string]*Object
}

// perPage is how many keys one answer lists, which is less than S3's thousand.
const perPage = 3

// s3Op names a request to S3, "" for none: the service is told by the scope of its
// signature.
func s3Op(r *http.Request) string {
	m := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	switch {
	case m == nil || m[3] != "s3":
		return ""
	case r.Method == http.MethodPut:
		return "PutObject"
	case r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "2":
		return "ListObjectsV2"
	case r.Method == http.MethodGet:
		return "GetObject"
	}
	return r.Method
}

func failS3(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>r</RequestId></Error>`, code, code)
}

func (s *Server) serveS3(w http.ResponseWriter, r *http.Request, op string, body []byte) {
	bad := func(status int, code string) { failS3(w, status, code) }
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	b := s.buckets[name]
	if b == nil {
		bad(http.StatusNotFound, "NoSuchBucket")
		return
	}
	switch op {
	case "PutObject":
		sum := sha256.Sum256(body)
		until, err := time.Parse(time.RFC3339, r.Header.Get("X-Amz-Object-Lock-Retain-Until-Date"))
		switch {
		case r.Header.Get("X-Amz-Checksum-Sha256") != base64.StdEncoding.EncodeToString(sum[:]):
			bad(http.StatusBadRequest, "BadDigest")
		case err != nil || !b.locks:
			bad(http.StatusBadRequest, "InvalidRequest")
		case r.Header.Get("If-None-Match") == "*" && b.objects[key] != nil:
			bad(http.StatusPreconditionFailed, "PreconditionFailed")
		default:
			b.objects[key] = &Object{Body: body, Mode: r.Header.Get("X-Amz-Object-Lock-Mode"), Until: until}
		}
	case "GetObject":
		if b.objects[key] == nil {
			bad(http.StatusNotFound, "NoSuchKey")
			return
		}
		_, _ = w.Write(b.objects[key].Body) // whoever asked may be gone
	case "ListObjectsV2":
		type content struct{ Key string }
		var out struct {
			XMLName  xml.Name `xml:"ListBucketResult"`
			Contents []content
		}
		for _, k := range slices.Sorted(maps.Keys(b.objects)) {
			if strings.HasPrefix(k, r.URL.Query().Get("prefix")) && k > r.URL.Query().Get("start-after") && len(out.Contents) < perPage {
				out.Contents = append(out.Contents, content{k})
			}
		}
		text, err := xml.Marshal(out)
		if err != nil {
			bad(http.StatusInternalServerError, "InternalError")
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = w.Write(text) // whoever asked may be gone
	default:
		bad(http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}
