package oss

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"taxilake/lakekit/blob"
)

// The shortest and longest life of temporary credentials; MinIO, "AssumeRole".
const (
	minLoan = 15 * time.Minute
	maxLoan = 365 * 24 * time.Hour
)

// Lend returns a configuration with temporary credentials that reach what is
// below a folder of the bucket and nothing else, and the time they expire: the
// workspace of one student on the store of a class. The folder "alice" is the
// keys that begin with "alice/". The store must speak S3 and have the STS API
// AssumeRole, as MinIO does; duration is 15 minutes to 365 days. Real OSS lends
// by RAM roles instead, outside of the store.
func Lend(ctx context.Context, config ClientConfig, prefix string, duration time.Duration) (lent ClientConfig, expires time.Time, err error) {
	prefix = strings.Trim(prefix, "/")
	switch {
	case !config.S3:
		err = errors.New("only an S3 store such as MinIO lends them; for Aliyun OSS let a RAM role give temporary credentials")
	case config.SecurityToken != "":
		err = errors.New("these are temporary credentials themselves, and cannot be passed on; use the account's own")
	case duration < minLoan || duration > maxLoan:
		err = fmt.Errorf("%v is no life for them; choose 15 minutes to 365 days", duration)
	case strings.ContainsAny(prefix, "*?$"): // they mean something in a policy
		err = errors.New(`the folder's name contains "*", "?" or "$"; choose another`)
	default:
		err = blob.CheckKey(prefix)
	}
	if err != nil {
		return ClientConfig{}, time.Time{}, fmt.Errorf("lend credentials for %q: %w", prefix, err)
	}
	c, err := NewClient(config)
	if err != nil {
		return ClientConfig{}, time.Time{}, err
	}
	defer c.Close()
	var role assumedRole
	err = c.retry(ctx, "lend credentials for", prefix+"/", func() (err error) {
		role, err = c.assumeRole(ctx, folderPolicy(config.Bucket, prefix), duration)
		return err
	})
	if err != nil {
		return ClientConfig{}, time.Time{}, err
	}
	lent = config
	lent.AccessKeyID, lent.AccessKeySecret, lent.SecurityToken = role.AccessKeyID, role.SecretAccessKey, role.SessionToken
	return lent, role.Expiration, nil
}

// folderPolicy is the IAM policy that allows what Client does below a folder.
func folderPolicy(bucket, prefix string) string {
	type object = map[string]any
	policy, err := json.Marshal(object{
		"Version": "2012-10-17",
		"Statement": []object{{
			"Effect":   "Allow",
			"Action":   []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"},
			"Resource": []string{"arn:aws:s3:::" + bucket + "/" + prefix + "/*"},
		}, {
			"Effect":    "Allow",
			"Action":    []string{"s3:ListBucket"},
			"Resource":  []string{"arn:aws:s3:::" + bucket},
			"Condition": object{"StringLike": object{"s3:prefix": []string{prefix + "/*"}}},
		}},
	})
	if err != nil {
		panic(err) // strings and maps of strings
	}
	return string(policy)
}

// assumedRole is the answer to AssumeRole, as far as it is needed.
type assumedRole struct {
	AccessKeyID     string    `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
	SecretAccessKey string    `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
	SessionToken    string    `xml:"AssumeRoleResult>Credentials>SessionToken"`
	Expiration      time.Time `xml:"AssumeRoleResult>Credentials>Expiration"`
}

const maxAnswer = 1 << 20 // bytes

// assumeRole calls the STS API of the store, at the address of the store.
func (c *Client) assumeRole(ctx context.Context, policy string, duration time.Duration) (role assumedRole, err error) {
	form := []byte(url.Values{
		"Action":          {"AssumeRole"},
		"Version":         {"2011-06-15"},
		"DurationSeconds": {strconv.FormatInt(int64(duration/time.Second), 10)},
		"Policy":          {policy},
	}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(form))
	if err != nil {
		return role, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	hash := sha256.Sum256(form)
	if err := newS3(c.http, c.config).sign(request, hex.EncodeToString(hash[:]), "sts"); err != nil {
		return role, err
	}
	response, err := (&http.Client{Transport: c.http}).Do(request)
	if err != nil {
		return role, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return role, err
	}
	if response.StatusCode != http.StatusOK {
		var failure struct {
			Error     s3Error
			RequestID string `xml:"RequestId"`
		}
		if err := xml.Unmarshal(body, &failure); err != nil {
			failure.Error.Message = http.StatusText(response.StatusCode)
		}
		return role, sdk.ServiceError{
			StatusCode: response.StatusCode, Code: failure.Error.Code, Message: failure.Error.Message, RequestID: failure.RequestID,
		}
	}
	if err := xml.Unmarshal(body, &role); err != nil {
		return role, fmt.Errorf("read the answer of the store: %w", err)
	}
	if role.AccessKeyID == "" || role.SecretAccessKey == "" || role.SessionToken == "" || role.Expiration.IsZero() {
		return role, errors.New("the answer of the store holds no credentials")
	}
	return role, nil
}
