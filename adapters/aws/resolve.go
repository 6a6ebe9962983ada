package awsprovider

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
)

const (
	maxImagePages    = 20   // of a repository
	imagesPerPage    = 1000 // as many as ECR gives at once
	maxDefinitions   = 20   // described where there is no registry to ask
	maxListed        = 10   // releases named in a sentence
	latest           = "latest"
	tagsNeedRegistry = "its tags are not known to the bot, since it is not in ECR; name a digest, or a revision of the task definition such as %q"
)

// revisionForm matches a revision of a task definition: "web:41".
var revisionForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}:\d{1,9}$`)

// tagForm matches what a registry takes for a tag.
var tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// registry is where a repository in ECR is.
type registry struct{ id, region, name string }

// registry gives where the images are, nil where that is not ECR.
func (d *deployer) registry() *registry {
	m := ecrRepository.FindStringSubmatch(d.table.Image)
	if m == nil {
		return nil
	}
	return &registry{m[1], m[2], m[3]}
}

// Resolve takes a tag, a digest, a revision of a task definition ("web:41") or
// "latest", which is the image that was pushed last and not a tag of that name.
// What does not exist is NotFound, with the nearest match.
func (d *deployer) Resolve(ctx context.Context, version string) (provider.Artefact, error) {
	version = strings.TrimSpace(version)
	where := d.registry()
	switch {
	case digestForm.MatchString(version) && where == nil:
		return provider.Artefact{ID: version, Version: shortDigest(version), Origin: d.table.Image}, nil
	case digestForm.MatchString(version):
		r, err := d.byDigest(ctx, version)
		return r.Artefact, err
	case revisionForm.MatchString(version):
		return d.byRevision(ctx, version)
	case version == latest:
		all, err := d.Releases(ctx, 1)
		if err != nil {
			return provider.Artefact{}, err
		}
		if len(all) == 0 {
			return provider.Artefact{}, bot.Errorf(bot.NotFound, "%s holds no image that has a tag", d.table.Image)
		}
		return all[0].Artefact, nil
	case where == nil:
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "there is no %q of %s: "+tagsNeedRegistry, version, d.table.Image, d.service+":41")
	case tagForm.MatchString(version):
		r, err := d.image(ctx, ecrtypes.ImageIdentifier{ImageTag: aws.String(version)}, version)
		if bot.KindOf(err) != bot.NotFound {
			return r.Artefact, err
		}
	}
	return provider.Artefact{}, d.noImage(ctx, version)
}

// noImage says that there is no such image, and which there are.
func (d *deployer) noImage(ctx context.Context, version string) error {
	all, err := d.Releases(ctx, 0)
	if err != nil {
		return err
	}
	var names []string
	for _, r := range all {
		names = append(names, r.Version)
	}
	say := fmt.Sprintf("%s has no image %q", d.table.Image, version)
	if near := nearest.Of(version, names); near != "" {
		say += fmt.Sprintf("; did you mean %q?", near)
	} else if len(names) > 0 {
		say += "; the newest are: " + strings.Join(names[:min(len(names), maxListed)], ", ")
	}
	return bot.Errorf(bot.NotFound, "%s", say)
}

// byRevision gives the image of a task definition's revision.
func (d *deployer) byRevision(ctx context.Context, revision string) (provider.Artefact, error) {
	def, tags, err := d.definition(ctx, revision, bot.Task{})
	if kind := bot.KindOf(err); kind == bot.Invalid || kind == bot.NotFound { // what ECS answers for one that is not there
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "there is no task definition %q", revision)
	}
	if err != nil {
		return provider.Artefact{}, err
	}
	image, found := imageOf(def, d.table.Container)
	repository, tag, digest := cutImage(image)
	switch {
	case !found:
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "task definition %s has no container %q", revision, d.table.Container)
	case repository != d.table.Image:
		return provider.Artefact{}, bot.Errorf(bot.Invalid, "task definition %s has an image of another repository than %s", revision, d.table.Image)
	case digest == "":
		return provider.Artefact{}, bot.Errorf(bot.Invalid, "task definition %s names its image by the tag %q, which may stand for another image by now; name a digest", revision, tag)
	}
	a := provider.Artefact{ID: digest, Version: taggedVersion(tags, digest), Origin: d.table.Image, Notes: revision}
	if a.Version == "" {
		a.Version = revision
	}
	return a, nil
}

// byDigest gives an image as the registry knows it.
func (d *deployer) byDigest(ctx context.Context, digest string) (provider.Release, error) {
	if d.registry() == nil {
		return provider.Release{}, bot.Errorf(bot.NotFound, "%s is not in ECR", d.table.Image)
	}
	return d.image(ctx, ecrtypes.ImageIdentifier{ImageDigest: aws.String(digest)}, "")
}

// image asks the registry for one image; asked is the tag it is called by, "" for
// one of its own.
func (d *deployer) image(ctx context.Context, id ecrtypes.ImageIdentifier, asked string) (provider.Release, error) {
	at := d.registry()
	what := call{"ecr:DescribeImages", "image", at.name + ":" + aws.ToString(id.ImageTag) + aws.ToString(id.ImageDigest)}
	c, err := d.ecr(ctx, at.region)
	if err != nil {
		return provider.Release{}, d.failed(what, err)
	}
	out, err := c.DescribeImages(ctx, &ecr.DescribeImagesInput{RegistryId: aws.String(at.id), RepositoryName: aws.String(at.name), ImageIds: []ecrtypes.ImageIdentifier{id}})
	if err != nil {
		return provider.Release{}, d.failed(what, err)
	}
	if len(out.ImageDetails) != 1 || !digestForm.MatchString(aws.ToString(out.ImageDetails[0].ImageDigest)) {
		return provider.Release{}, bot.Errorf(bot.NotFound, "AWS knows no image %s in %s", what.name, at.region)
	}
	r := d.release(out.ImageDetails[0])
	if asked != "" {
		r.Version = asked
	}
	return r, nil
}

// release gives an image as an artefact. Of several tags the first that is not
// "latest" is its version: that one is moved by every push.
func (d *deployer) release(i ecrtypes.ImageDetail) provider.Release {
	r := provider.Release{Artefact: provider.Artefact{ID: aws.ToString(i.ImageDigest), Origin: d.table.Image}, Created: aws.ToTime(i.ImagePushedAt)}
	tags := slices.Sorted(slices.Values(i.ImageTags))
	tags = slices.DeleteFunc(tags, func(tag string) bool { return !tagForm.MatchString(tag) })
	if at := slices.Index(tags, latest); at >= 0 && len(tags) > 1 {
		tags = slices.Delete(tags, at, at+1)
	}
	if r.Version = shortDigest(r.ID); len(tags) > 0 {
		r.Version = tags[0]
	}
	return r
}

// Releases lists the images of the repository that have a tag, by when they were
// pushed. Where there is no registry to ask, the task definition's newest
// revisions stand for them.
func (d *deployer) Releases(ctx context.Context, limit int) ([]provider.Release, error) {
	at := d.registry()
	if at == nil {
		return d.revisionsOfFamily(ctx, limit)
	}
	what := call{"ecr:DescribeImages", "repository", at.name}
	c, err := d.ecr(ctx, at.region)
	if err != nil {
		return nil, d.failed(what, err)
	}
	var all []provider.Release
	var next *string
	for page := 0; ; page++ {
		// ECR gives them in no order, so the newest are known when all were read.
		if page == maxImagePages {
			return nil, bot.Errorf(bot.Invalid, "%s holds more than %d tagged images; give it a lifecycle policy, or name a tag", d.table.Image, maxImagePages*imagesPerPage)
		}
		out, err := c.DescribeImages(ctx, &ecr.DescribeImagesInput{
			RegistryId: aws.String(at.id), RepositoryName: aws.String(at.name), MaxResults: aws.Int32(imagesPerPage), NextToken: next,
			Filter: &ecrtypes.DescribeImagesFilter{TagStatus: ecrtypes.TagStatusTagged},
		})
		if err != nil {
			return nil, d.failed(what, err)
		}
		for _, i := range out.ImageDetails {
			usable := i.ImageStatus == "" || i.ImageStatus == ecrtypes.ImageStatusActive
			if usable && len(i.ImageTags) > 0 && digestForm.MatchString(aws.ToString(i.ImageDigest)) {
				all = append(all, d.release(i))
			}
		}
		if next = out.NextToken; aws.ToString(next) == "" {
			break
		}
	}
	newestFirst(all)
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

func newestFirst(all []provider.Release) {
	slices.SortStableFunc(all, func(a, b provider.Release) int {
		if n := b.Created.Compare(a.Created); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// revisionsOfFamily lists the images of the newest revisions of the task
// definition that the service runs.
func (d *deployer) revisionsOfFamily(ctx context.Context, limit int) ([]provider.Release, error) {
	s, err := d.describe(ctx, d.site, bot.Task{})
	if err != nil {
		return nil, err
	}
	first, err := d.deployable(s)
	if err != nil {
		return nil, err
	}
	family, _, _ := strings.Cut(short(aws.ToString(first.TaskDefinition)), ":")
	what := call{"ecs:ListTaskDefinitions", "task definition", family}
	c, err := d.ecs(ctx, bot.Task{})
	if err != nil {
		return nil, d.failed(what, err)
	}
	out, err := c.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String(family), Sort: types.SortOrderDesc, MaxResults: aws.Int32(maxDefinitions)})
	if err != nil {
		return nil, d.failed(what, err)
	}
	var all []provider.Release
	for _, arn := range out.TaskDefinitionArns[:min(len(out.TaskDefinitionArns), maxDefinitions)] {
		def, tags, err := d.definition(ctx, arn, bot.Task{})
		if err != nil {
			return nil, err
		}
		image, _ := imageOf(def, d.table.Container)
		repository, _, digest := cutImage(image)
		if digest == "" && arn == aws.ToString(first.TaskDefinition) {
			if digest, err = d.pulled(ctx, s, arn); err != nil {
				return nil, err
			}
		}
		if repository != d.table.Image || !digestForm.MatchString(digest) || slices.ContainsFunc(all, func(r provider.Release) bool { return r.ID == digest }) {
			continue
		}
		r := provider.Release{Artefact: provider.Artefact{ID: digest, Version: taggedVersion(tags, digest), Origin: d.table.Image, Notes: short(arn)}, Created: aws.ToTime(def.RegisteredAt)}
		if r.Version == "" {
			r.Version = short(arn)
		}
		all = append(all, r)
	}
	newestFirst(all)
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}
