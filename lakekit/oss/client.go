package oss

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/internal/wait"
)

// ClientConfig says how to reach a bucket of Object Storage Service.
type ClientConfig struct {
	Endpoint        string // "http://127.0.0.1:9000", "https://oss-cn-hangzhou.aliyuncs.com"
	Region          string // "cn-hangzhou": requests are signed with V4, without it with V1
	Bucket          string
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string // of temporary credentials (STS)
	S3              bool   // the endpoint speaks S3, as MinIO does, and not OSS
	LocalDir        string // where an embedded server on this machine keeps the bucket's files; optional
}

// String is the configuration without its secrets.
func (c ClientConfig) String() string {
	protocol := "OSS"
	if c.S3 {
		protocol = "S3"
	}
	return fmt.Sprintf("bucket %q at %s (%s, region %q)", c.Bucket, withoutSecrets(c.Endpoint), protocol, c.Region)
}

// GoString is String.
func (c ClientConfig) GoString() string { return c.String() }

// MarshalText is String, so that JSON and logs show no secret either.
func (c ClientConfig) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// withoutSecrets is scheme and host of an endpoint, or "" if it is none: what
// else is in it may be a password.
func withoutSecrets(endpoint string) string {
	address, err := parseEndpoint(endpoint)
	if err != nil {
		return ""
	}
	return address.Scheme + "://" + address.Host
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	address, err := url.Parse(endpoint)
	if err != nil || address.Hostname() == "" || (address.Scheme != "http" && address.Scheme != "https") {
		return nil, errors.New(`the endpoint is no address like "https://oss-cn-hangzhou.aliyuncs.com"`)
	}
	return address, nil
}

const pageSize = 1000 // the most OSS gives or takes in a request

// Client is a bucket of Object Storage Service by the Aliyun SDK, or of a store
// that speaks S3 by the same SDK and a translation.
//
// What can safely be done again is retried with backoff for some seconds:
// everything but PutIfAbsent, which is only retried where nothing was stored.
// Uploads carry their MD5, which the store checks before it stores them; whole
// downloads are checked against the store's CRC-64 (OSS) or MD5 (S3). Large
// objects are put in parts, and appear when all of them have arrived.
type Client struct {
	config   ClientConfig
	endpoint string // without what may be secret in it
	service  *sdk.Client
	bucket   *sdk.Bucket
	http     *http.Transport
	sleep    func(context.Context, time.Duration) error

	multipart partSizes
}

// SDKOptions are the options with which the Aliyun SDK itself, oss.New, reaches
// the store: for what Bucket does not offer, and to look at it without Bucket.
func SDKOptions(config ClientConfig) ([]sdk.ClientOption, error) {
	endpoint, err := config.check()
	if err != nil {
		return nil, err
	}
	return sdkOptions(config, endpoint, newTransport()), nil
}

func sdkOptions(config ClientConfig, endpoint *url.URL, transport http.RoundTripper) []sdk.ClientOption {
	if config.S3 {
		transport = newS3(transport, config)
	}
	options := []sdk.ClientOption{
		sdk.HTTPClient(&http.Client{
			Transport:     lender{transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		sdk.SecurityToken(config.SecurityToken),
		sdk.ForcePathStyle(config.S3 || !isAliyun(endpoint.Hostname())), // which real OSS refuses
		sdk.VerifyObjectStrict(false),                                   // it bans keys that begin with "?"
		sdk.EnableCRC(false),                                            // it gives up where a download is resumed; see download
	}
	if config.Region != "" {
		options = append(options, sdk.AuthVersion(sdk.AuthV4), sdk.Region(config.Region))
	}
	return options
}

// NewClient returns a client. It does not connect yet.
func NewClient(config ClientConfig) (*Client, error) {
	endpoint, err := config.check()
	if err != nil {
		return nil, err
	}
	c := &Client{
		config:    config,
		endpoint:  endpoint.Scheme + "://" + endpoint.Host,
		http:      newTransport(),
		sleep:     wait.For,
		multipart: multipart,
	}
	options := sdkOptions(config, endpoint, c.http)
	if c.service, err = sdk.New(c.endpoint, config.AccessKeyID, config.AccessKeySecret, options...); err != nil {
		return nil, fmt.Errorf("connect to the object store at %s: %w", c.endpoint, err)
	}
	if c.bucket, err = c.service.Bucket(config.Bucket); err != nil {
		return nil, advised{fmt.Errorf("connect to the object store at %s: %w", c.endpoint, err), "correct OSS_BUCKET"}
	}
	return c, nil
}

// check finds what is wrong with a configuration before anything is sent.
func (c ClientConfig) check() (*url.URL, error) {
	wrong := func(what, advice string) (*url.URL, error) {
		return nil, advised{errors.New("connect to the object store: " + what), advice}
	}
	for _, required := range []struct{ value, what, variable string }{
		{c.Endpoint, "endpoint", "OSS_ENDPOINT"},
		{c.AccessKeyID, "access key id", "OSS_ACCESS_KEY_ID"},
		{c.AccessKeySecret, "access key secret", "OSS_ACCESS_KEY_SECRET"},
		{c.Bucket, "bucket", "OSS_BUCKET"},
	} {
		if required.value == "" {
			return wrong("no "+required.what+" given", "set "+required.variable)
		}
	}
	endpoint, err := parseEndpoint(c.Endpoint)
	switch {
	case err != nil:
		return wrong(err.Error(), "correct OSS_ENDPOINT")
	case !isAliyun(endpoint.Hostname()):
		return endpoint, nil
	case c.S3:
		return wrong("Aliyun OSS does not keep the promise of put-if-absent over S3", "use it as OSS (LAKEKIT_PROFILE=cloud)")
	case strings.HasPrefix(endpoint.Host, c.Bucket+"."):
		return wrong("the endpoint begins with the bucket", "remove "+strconv.Quote(c.Bucket+".")+" from OSS_ENDPOINT")
	case c.Region == "" || strings.HasPrefix(c.Region, "oss-"):
		return wrong(fmt.Sprintf("the region is %q", c.Region), `set OSS_REGION to the bucket's region, as in "cn-hangzhou"`)
	}
	return endpoint, nil
}

func isAliyun(host string) bool { return strings.HasSuffix(host, ".aliyuncs.com") }

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
func (c *Client) Head(ctx context.Context, key string) (blob.ObjectInfo, error) {
	var header http.Header
	err := c.retryKey(ctx, "head", key, func() (err error) {
		header, err = c.bucket.GetObjectDetailedMeta(key, sdk.WithContext(ctx))
		return err
	})
	if err != nil {
		return blob.ObjectInfo{}, err
	}
	size, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		return blob.ObjectInfo{}, c.fail("head", key, fmt.Errorf("answer without a valid Content-Length: %w", err))
	}
	modified, err := http.ParseTime(header.Get("Last-Modified"))
	if err != nil {
		return blob.ObjectInfo{}, c.fail("head", key, fmt.Errorf("answer without a valid Last-Modified: %w", err))
	}
	return blob.ObjectInfo{Key: key, Size: size, ETag: unquoted(header.Get("ETag")), LastModified: modified}, nil
}

func unquoted(etag string) string { return strings.Trim(etag, `"`) }

// List implements Bucket.
func (c *Client) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.ObjectInfo, error] {
	return func(yield func(blob.ObjectInfo, error) bool) {
		if err := opts.Check(); err != nil {
			yield(blob.ObjectInfo{}, c.fail("list", opts.Prefix, err))
			return
		}
		within, last := opts.Prefix[:strings.LastIndex(opts.Prefix, "/")+1], path.Base(opts.Prefix)
		if within != "" && blob.CheckKey(strings.TrimSuffix(within, "/")) != nil {
			return // no key begins like that, and MinIO refuses to look
		}
		wanted := opts.Prefix
		if last == "." || last == ".." {
			opts.Prefix = within // MinIO takes what begins with dots for a way out
		}
		token := ""
		for {
			page, next, err := c.page(ctx, opts, token)
			if err != nil {
				yield(blob.ObjectInfo{}, err)
				return
			}
			for _, info := range page {
				if strings.HasPrefix(info.Key, wanted) && !yield(info, nil) {
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
func (c *Client) page(ctx context.Context, opts blob.ListOptions, token string) (infos []blob.ObjectInfo, next string, err error) {
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
		infos = append(infos, blob.ObjectInfo{
			Key: object.Key, Size: object.Size, ETag: unquoted(object.ETag), LastModified: object.LastModified,
		})
	}
	for _, prefix := range page.CommonPrefixes {
		infos = append(infos, blob.ObjectInfo{Key: prefix, IsPrefix: true})
	}
	slices.SortFunc(infos, func(a, b blob.ObjectInfo) int { return cmp.Compare(a.Key, b.Key) })
	if page.IsTruncated {
		next = page.NextContinuationToken
	}
	return infos, next, nil
}

// Delete implements Bucket.
func (c *Client) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := blob.CheckKey(key); err != nil {
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
