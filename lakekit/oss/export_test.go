package oss

import (
	"context"
	"crypto/md5"
	"fmt"
	"slices"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// WithoutBackoff makes a client retry at once.
func WithoutBackoff(c *Client) {
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}

// InParts makes a client put objects beyond a size in parts of that size.
func InParts(c *Client, size int64) { c.multipart = partSizes{threshold: size, part: size} }

// SetVersioning sets the versioning of a client's bucket.
func SetVersioning(ctx context.Context, c *Client, status string) error {
	return c.service.SetBucketVersioning(c.config.Bucket, sdk.VersioningConfig{Status: status}, sdk.WithContext(ctx))
}

// PartsETag is the header S3 gives a body that was put in parts of some size.
func PartsETag(body string, size int) string {
	var sums []byte
	parts := 0
	for part := range slices.Chunk([]byte(body), size) {
		sum := md5.Sum(part)
		sums = append(sums, sum[:]...)
		parts++
	}
	return fmt.Sprintf(`ETag: "%x-%d"`, md5.Sum(sums), parts)
}
