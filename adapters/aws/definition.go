package awsprovider

import (
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"quarterdeck/bot"
)

// The tags of a task definition that the bot registered. The version holds the
// digest too, so that a tag that somebody copied says nothing of another image.
const (
	tagRun     = "quarterdeck-run"
	tagPerson  = "quarterdeck-person"
	tagVersion = "quarterdeck-version"
)

// maxTags is how many tags a task definition can have.
const maxTags = 50

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	notInTag   = regexp.MustCompile(`[^A-Za-z0-9 +=._:/@-]`)
)

// tagValue gives text as the value of a tag.
func tagValue(text string) string {
	text = notInTag.ReplaceAllString(text, "_")
	return text[:min(len(text), 256)]
}

// clone is the definition to register: the given one with an image in one
// container, "" for the one it has, and the run's tags. A field of the input that
// is not copied would be lost in silence; a test holds the two types together.
// Inference accelerators alone are left out: AWS has ended them.
func clone(from types.TaskDefinition, tags []types.Tag, container, image string, own map[string]string) (*ecs.RegisterTaskDefinitionInput, error) {
	in := &ecs.RegisterTaskDefinitionInput{
		Family: from.Family, Cpu: from.Cpu, Memory: from.Memory, EnableFaultInjection: from.EnableFaultInjection,
		EphemeralStorage: from.EphemeralStorage, ExecutionRoleArn: from.ExecutionRoleArn, TaskRoleArn: from.TaskRoleArn,
		IpcMode: from.IpcMode, PidMode: from.PidMode, NetworkMode: from.NetworkMode,
		PlacementConstraints: from.PlacementConstraints, ProxyConfiguration: from.ProxyConfiguration,
		RequiresCompatibilities: from.RequiresCompatibilities, RuntimePlatform: from.RuntimePlatform, Volumes: from.Volumes,
	}
	found := false
	var names []string
	for _, c := range from.ContainerDefinitions {
		names = append(names, aws.ToString(c.Name))
		if aws.ToString(c.Name) == container {
			found = true
			if image != "" {
				c.Image = aws.String(image)
			}
		}
		in.ContainerDefinitions = append(in.ContainerDefinitions, c)
	}
	if !found {
		return nil, bot.Errorf(bot.NotFound, "task definition %s has no container %q; it has: %s", short(aws.ToString(from.TaskDefinitionArn)), container, clean(strings.Join(names, ", "), maxText))
	}
	for _, key := range []string{tagRun, tagPerson, tagVersion} {
		if own[key] != "" {
			in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(tagValue(own[key]))})
		}
	}
	for _, t := range tags {
		key := aws.ToString(t.Key)
		if strings.HasPrefix(key, "quarterdeck-") || strings.HasPrefix(strings.ToLower(key), "aws:") || len(in.Tags) == maxTags {
			continue
		}
		in.Tags = append(in.Tags, t)
	}
	return in, nil
}

// versionTag is the value of tagVersion.
func versionTag(version, digest string) string { return version + "@" + digest }

// taggedVersion gives the version that a definition's tags name for a digest, or
// "".
func taggedVersion(tags []types.Tag, digest string) string {
	for _, t := range tags {
		if aws.ToString(t.Key) == tagVersion {
			if version, found := strings.CutSuffix(aws.ToString(t.Value), "@"+digest); found {
				return version
			}
		}
	}
	return ""
}

// imageOf gives the image of a definition's container.
func imageOf(d types.TaskDefinition, container string) (image string, found bool) {
	for _, c := range d.ContainerDefinitions {
		if aws.ToString(c.Name) == container {
			return aws.ToString(c.Image), true
		}
	}
	return "", false
}

// cutImage gives the parts of "repository:tag@digest", "" for those it lacks.
func cutImage(image string) (repository, tag, digest string) {
	repository, digest, _ = strings.Cut(image, "@")
	slash := strings.LastIndex(repository, "/")
	if colon := strings.LastIndex(repository, ":"); colon > slash {
		repository, tag = repository[:colon], repository[colon+1:]
	}
	return repository, tag, digest
}

// short gives the last part of an ARN: "web:42".
func short(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// shortDigest is what an image is called that has no tag.
func shortDigest(digest string) string {
	prefix, hex, _ := strings.Cut(digest, ":")
	return prefix + ":" + hex[:min(len(hex), 12)]
}
