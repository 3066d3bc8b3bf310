package oss

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"taxilake/lakekit/oss/internal/folder"
)

// ClientConfig says how to reach a bucket of Object Storage Service.
type ClientConfig struct {
	Endpoint        string // "http://127.0.0.1:9000", "https://oss-cn-hangzhou.aliyuncs.com"
	Region          string // "cn-hangzhou": requests are signed with V4, without it with V1
	Bucket          string
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string // of temporary credentials (STS)
	LocalDir        string // where an embedded server on this machine keeps the bucket's files; optional
}

const pageSize = 1000 // the most OSS gives or takes in a request

// Client is a bucket of Object Storage Service, by the Aliyun SDK.
//
// What can safely be done again is retried with backoff for some seconds:
// everything but PutIfAbsent, which is only retried where no request was sent.
// Uploads and whole downloads are checked against the store's CRC-64.
type Client struct {
	config   ClientConfig
	endpoint string // without what may be secret in it
	service  *sdk.Client
	bucket   *sdk.Bucket
	http     *http.Transport
	sleep    func(context.Context, time.Duration) error
}

// NewClient returns a client. It does not connect yet.
func NewClient(config ClientConfig) (*Client, error) {
	for _, required := range []struct{ value, what, variable string }{
		{config.Endpoint, "endpoint", "OSS_ENDPOINT"},
		{config.AccessKeyID, "access key id", "OSS_ACCESS_KEY_ID"},
		{config.AccessKeySecret, "access key secret", "OSS_ACCESS_KEY_SECRET"},
		{config.Bucket, "bucket", "OSS_BUCKET"},
	} {
		if required.value == "" {
			return nil, fmt.Errorf("connect to the object store: no %s given; set %s", required.what, required.variable)
		}
	}
	address := config.Endpoint
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	endpoint, err := url.Parse(address)
	if err != nil || endpoint.Host == "" || (endpoint.Scheme != "http" && endpoint.Scheme != "https") {
		return nil, errors.New(`connect to the object store: the endpoint is no address like "https://oss-cn-hangzhou.aliyuncs.com"; correct OSS_ENDPOINT`)
	}
	c := &Client{
		config:   config,
		endpoint: endpoint.Scheme + "://" + endpoint.Host,
		http:     newTransport(),
		sleep:    sleep,
	}
	options := []sdk.ClientOption{
		sdk.HTTPClient(&http.Client{
			Transport:     lender{c.http},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		sdk.SecurityToken(config.SecurityToken),
		sdk.ForcePathStyle(!strings.HasSuffix(endpoint.Hostname(), ".aliyuncs.com")), // which real OSS refuses
		sdk.VerifyObjectStrict(false),                                                // it bans keys that begin with "?"
	}
	if config.Region != "" {
		options = append(options, sdk.AuthVersion(sdk.AuthV4), sdk.Region(config.Region))
	}
	if c.service, err = sdk.New(c.endpoint, config.AccessKeyID, config.AccessKeySecret, options...); err != nil {
		return nil, fmt.Errorf("connect to the object store at %s: %w", c.endpoint, err)
	}
	if c.bucket, err = c.service.Bucket(config.Bucket); err != nil {
		return nil, fmt.Errorf("connect to the object store at %s: %w; correct OSS_BUCKET", c.endpoint, err)
	}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// CreateBucket makes the bucket, if it is not there.
func (c *Client) CreateBucket(ctx context.Context) error {
	return c.retry(ctx, "create bucket", "", func() error {
		return c.service.CreateBucket(c.config.Bucket, sdk.WithContext(ctx))
	})
}

// URI implements Bucket.
func (c *Client) URI(key string) string { return "oss://" + c.config.Bucket + "/" + key }

// LocalPath implements Local.
func (c *Client) LocalPath(key string) string {
	if c.config.LocalDir == "" {
		return ""
	}
	return filepath.Join(c.config.LocalDir, filepath.FromSlash(key))
}

// Head implements Bucket.
func (c *Client) Head(ctx context.Context, key string) (ObjectInfo, error) {
	var header http.Header
	err := c.retryKey(ctx, "head", key, func() (err error) {
		header, err = c.bucket.GetObjectDetailedMeta(key, sdk.WithContext(ctx))
		return err
	})
	if err != nil {
		return ObjectInfo{}, err
	}
	size, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		return ObjectInfo{}, c.fail("head", key, fmt.Errorf("answer without a valid Content-Length: %w", err))
	}
	modified, err := http.ParseTime(header.Get("Last-Modified"))
	if err != nil {
		return ObjectInfo{}, c.fail("head", key, fmt.Errorf("answer without a valid Last-Modified: %w", err))
	}
	return ObjectInfo{Key: key, Size: size, ETag: unquoted(header.Get("ETag")), LastModified: modified}, nil
}

func unquoted(etag string) string { return strings.Trim(etag, `"`) }

// Put implements Bucket.
func (c *Client) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return c.put(ctx, "put", key, body, c.retryKey)
}

// PutIfAbsent implements Bucket.
func (c *Client) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return c.put(ctx, "put if absent", key, body, c.retryUnsent, sdk.ForbidOverWrite(true))
}

func (c *Client) put(
	ctx context.Context, op, key string, body io.ReadSeeker,
	retry func(ctx context.Context, op, key string, attempt func() error) error, options ...sdk.Option,
) error {
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return c.fail(op, key, err)
	}
	end, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return c.fail(op, key, err)
	}
	options = append(options, sdk.WithContext(ctx))
	return retry(ctx, op, key, func() error {
		if _, err := body.Seek(start, io.SeekStart); err != nil {
			return bodyError{err}
		}
		sent := &upload{body: body, left: end - start}
		err := c.bucket.PutObject(key, sent, options...)
		return cmp.Or(sent.err, err)
	})
}

// upload is a body of known length, which remembers its own failure.
type upload struct {
	body io.Reader
	left int64
	err  error // a bodyError
}

// bodyError is a failure of the body: no fault of the store, no use to retry.
type bodyError struct{ error }

func (e bodyError) Unwrap() error { return e.error }

// Len tells the SDK the Content-Length.
func (u *upload) Len() int { return int(u.left) }

func (u *upload) Read(p []byte) (int, error) {
	if u.left == 0 {
		return 0, io.EOF
	}
	n, err := u.body.Read(p[:min(int64(len(p)), u.left)])
	u.left -= int64(n)
	if err == io.EOF && u.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		u.err = bodyError{err}
	}
	return n, err
}

// List implements Bucket.
func (c *Client) List(ctx context.Context, opts ListOptions) iter.Seq2[ObjectInfo, error] {
	return func(yield func(ObjectInfo, error) bool) {
		if err := checkDelimiter(opts.Delimiter); err != nil {
			yield(ObjectInfo{}, c.fail("list", opts.Prefix, err))
			return
		}
		token := ""
		for {
			page, next, err := c.page(ctx, opts, token)
			if err != nil {
				yield(ObjectInfo{}, err)
				return
			}
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// page fetches a page of a listing, and the token of the next one, if any.
func (c *Client) page(ctx context.Context, opts ListOptions, token string) (infos []ObjectInfo, next string, err error) {
	options := []sdk.Option{
		sdk.WithContext(ctx), sdk.MaxKeys(pageSize),
		sdk.Prefix(opts.Prefix), sdk.StartAfter(opts.StartAfter), sdk.Delimiter(opts.Delimiter),
	}
	if token != "" {
		options = append(options, sdk.ContinuationToken(token))
	}
	var page sdk.ListObjectsResultV2
	err = c.retry(ctx, "list", opts.Prefix, func() (err error) {
		page, err = c.bucket.ListObjectsV2(options...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	for _, object := range page.Objects {
		infos = append(infos, ObjectInfo{
			Key: object.Key, Size: object.Size, ETag: unquoted(object.ETag), LastModified: object.LastModified,
		})
	}
	for _, prefix := range page.CommonPrefixes {
		infos = append(infos, ObjectInfo{Key: prefix, IsPrefix: true})
	}
	slices.SortFunc(infos, func(a, b ObjectInfo) int { return cmp.Compare(a.Key, b.Key) })
	if page.IsTruncated {
		next = page.NextContinuationToken
	}
	return infos, next, nil
}

// Delete implements Bucket.
func (c *Client) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := folder.CheckKey(key); err != nil {
			return c.fail("delete", key, err)
		}
	}
	if len(keys) == 1 {
		return c.retryKey(ctx, "delete", keys[0], func() error {
			return c.bucket.DeleteObject(keys[0], sdk.WithContext(ctx))
		})
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(keys))) // as the store counts them
	for batch := range slices.Chunk(distinct, pageSize) {
		err := c.retry(ctx, fmt.Sprintf("delete %d objects, the first of them", len(batch)), batch[0], func() error {
			result, err := c.bucket.DeleteObjects(batch, sdk.WithContext(ctx))
			if err == nil && len(result.DeletedObjects) < len(batch) {
				err = fmt.Errorf("the store deleted only %d", len(result.DeletedObjects))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
