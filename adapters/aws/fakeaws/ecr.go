package fakeaws

import (
	"slices"
	"strconv"
	"time"
)

// Image is one image in a repository.
type Image struct {
	Repository string
	Digest     string
	Tags       []string
	Pushed     time.Time
}

// Push adds an image; its tags leave those that had them.
func (s *Server) Push(i Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.images {
		if o.Repository == i.Repository {
			o.Tags = slices.DeleteFunc(o.Tags, func(tag string) bool { return slices.Contains(i.Tags, tag) })
		}
	}
	s.images = append(s.images, &i)
}

func (s *Server) describeImages(c caller, body []byte) (any, error) {
	in, err := decode[struct {
		RepositoryName string
		ImageIds       []struct{ ImageTag, ImageDigest string }
		MaxResults     int
		NextToken      string
		Filter         struct{ TagStatus string }
	}](body)
	if err != nil {
		return nil, err
	}
	var all []*Image
	for _, i := range s.images {
		if i.Repository == in.RepositoryName && c.region == s.o.Region {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return nil, refuse("RepositoryNotFoundException", "The repository with name '%s' does not exist", in.RepositoryName)
	}
	list := []any{}
	show := func(i *Image) {
		list = append(list, map[string]any{"imageDigest": i.Digest, "imageTags": i.Tags, "imagePushedAt": seconds(i.Pushed), "repositoryName": i.Repository, "imageStatus": "ACTIVE"})
	}
	if len(in.ImageIds) > 0 {
		for _, id := range in.ImageIds {
			for _, i := range all {
				if id.ImageDigest == i.Digest || id.ImageTag != "" && slices.Contains(i.Tags, id.ImageTag) {
					show(i)
				}
			}
		}
		if len(list) == 0 {
			return nil, refuse("ImageNotFoundException", "The image does not exist")
		}
		return map[string]any{"imageDetails": list}, nil
	}
	if in.Filter.TagStatus == "TAGGED" {
		all = slices.DeleteFunc(all, func(i *Image) bool { return len(i.Tags) == 0 })
	}
	from, _ := strconv.Atoi(in.NextToken)
	to := min(len(all), from+in.MaxResults)
	for _, i := range all[from:to] {
		show(i)
	}
	out := map[string]any{"imageDetails": list}
	if to < len(all) {
		out["nextToken"] = strconv.Itoa(to)
	}
	return out, nil
}
