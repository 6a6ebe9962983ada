package awsprovider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// VaultTable says where in S3 objects are kept.
type VaultTable struct {
	// Bucket must have Object Lock.
	Bucket string `toml:"bucket"`
	// Prefix comes before every name: "quarterdeck/".
	Prefix string `toml:"prefix"`
	// Mode is "compliance", in which nobody at all can shorten what was promised,
	// or "governance", in which those with a permission of their own can; default
	// compliance.
	Mode string `toml:"mode"`
}

var (
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	keyPrefix  = regexp.MustCompile(`^([A-Za-z0-9!_.*'()-]+/)*$`)
)

// BindVault checks where objects are kept offline and binds it.
func (p *awsProvider) BindVault(raw provider.Raw) (provider.Vault, error) {
	var table VaultTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	mode := types.ObjectLockModeCompliance
	switch {
	case !bucketName.MatchString(table.Bucket):
		return nil, bot.Errorf(bot.Invalid, `%s needs bucket, the name of a bucket with Object Lock, such as "audit-logs"; it is %q`, raw.Where(), table.Bucket)
	case len(table.Prefix) > 500 || !keyPrefix.MatchString(table.Prefix):
		return nil, bot.Errorf(bot.Invalid, `%s: prefix is %q; expected such as "quarterdeck/", with a slash at its end`, raw.Where(), table.Prefix)
	case table.Mode == "governance":
		mode = types.ObjectLockModeGovernance
	case table.Mode != "" && table.Mode != "compliance":
		return nil, bot.Errorf(bot.Invalid, "%s: mode is %q; expected compliance or governance", raw.Where(), table.Mode)
	}
	return &vault{awsProvider: p, table: table, mode: mode}, nil
}

var (
	_ provider.VaultBinder = (*awsProvider)(nil)
	_ provider.Vault       = (*vault)(nil)
)

// vault is one place in S3.
type vault struct {
	*awsProvider
	table VaultTable
	mode  types.ObjectLockMode
}

// Place gives "s3://BUCKET/PREFIX".
func (v *vault) Place() string { return "s3://" + v.table.Bucket + "/" + v.table.Prefix }

func (v *vault) s3(ctx context.Context) (*s3.Client, error) {
	c, err := v.session(ctx, "")
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(c, func(o *s3.Options) {
		o.Retryer = retrier(bot.Task{})
		o.DisableLogOutputChecksumValidationSkipped = true // segments are signed
		o.UsePathStyle = v.settings.Endpoint != ""         // another server has no name for each bucket
	}), nil
}

// Put stores an object under Object Lock, unless its name is taken: S3 looks at
// If-None-Match and stores in one step, so sending it again changes nothing.
//
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func (v *vault) Put(ctx context.Context, name string, body []byte, until time.Time) error {
	client, err := v.s3(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	_, err = client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(v.table.Bucket), Key: aws.String(v.table.Prefix + name), Body: bytes.NewReader(body),
		IfNoneMatch: aws.String("*"), ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		ObjectLockMode: v.mode, ObjectLockRetainUntilDate: aws.Time(until.UTC().Truncate(time.Second)),
	})
	if err != nil {
		return v.refusedBy("s3:PutObject", err)
	}
	return nil
}

// Names lists at most a thousand names.
func (v *vault) Names(ctx context.Context, after string) ([]string, error) {
	client, err := v.s3(ctx)
	if err != nil {
		return nil, err
	}
	in := &s3.ListObjectsV2Input{Bucket: aws.String(v.table.Bucket), Prefix: aws.String(v.table.Prefix)}
	if after != "" {
		in.StartAfter = aws.String(v.table.Prefix + after)
	}
	out, err := client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, v.refusedBy("s3:ListBucket", err)
	}
	var names []string
	for _, o := range out.Contents {
		names = append(names, strings.TrimPrefix(aws.ToString(o.Key), v.table.Prefix))
	}
	return names, nil
}

// Get reads an object.
func (v *vault) Get(ctx context.Context, name string, most int64) ([]byte, error) {
	client, err := v.s3(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(v.table.Bucket), Key: aws.String(v.table.Prefix + name)})
	if err != nil {
		return nil, v.refusedBy("s3:GetObject", err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(io.LimitReader(out.Body, most+1))
	switch {
	case err != nil:
		return nil, v.refusedBy("s3:GetObject", err)
	case int64(len(body)) > most:
		return nil, bot.Errorf(bot.Invalid, "%s%s has more than %d bytes", v.Place(), name, most)
	}
	return body, nil
}

// refusedBy adds to failed what S3 alone answers.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func (v *vault) refusedBy(need string, err error) error {
	c := call{need, "bucket", v.table.Bucket}
	e := v.failed(c, err)
	var known *bot.Error
	if !errors.As(e, &known) {
		return e
	}
	switch code := codeOf(err); {
	case status(err) == http.StatusPreconditionFailed:
		known.Kind, known.Say = bot.Conflict, "there is such an object in "+v.Place()+" already"
	case code == "ConditionalRequestConflict":
		known.Kind, known.RetryAfter, known.Say = bot.Busy, throttlePause, "somebody else writes the same object in "+v.Place()
	case code == "NoSuchBucket", code == "NoSuchKey":
		known.Kind, known.Say = bot.NotFound, "AWS knows no such bucket or object in "+v.Place()
	case code == "InvalidRequest" && need == "s3:PutObject":
		known.Kind, known.Say = bot.Invalid, "bucket "+v.table.Bucket+" does not take it; does it have Object Lock?"
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed":
		known.Kind, known.Say = bot.Invalid, "bucket "+v.table.Bucket+" is not in "+v.settings.Region+", the region of provider "+v.name
	}
	return known
}
