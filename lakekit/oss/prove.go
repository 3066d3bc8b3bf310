package oss

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"taxilake/lakekit/blob"
)

// ProvePutIfAbsent finds out by a probe object, which it deletes again, whether
// the store keeps the promise of PutIfAbsent, and says what to do if not. OSS
// breaks it without a word on a bucket with versioning, be it enabled or
// suspended; old S3 stores never had it. A table on such a bucket loses
// commits. To be called before the first write.
func ProvePutIfAbsent(ctx context.Context, b blob.Bucket) error {
	key := "_put_if_absent_probe/" + rand.Text()
	if err := b.PutIfAbsent(ctx, key, strings.NewReader("first")); err != nil {
		return err
	}
	err := b.PutIfAbsent(ctx, key, strings.NewReader("second"))
	if deleteErr := b.Delete(ctx, key); deleteErr != nil {
		return deleteErr
	}
	switch {
	case errors.Is(err, blob.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return overwrites(ctx, b)
}

// overwrites is the error of a bucket that overwrites what it was told not to.
func overwrites(ctx context.Context, b blob.Bucket) error {
	cause := errors.New(b.URI("") + " overwrites objects it was told not to: a table there could lose commits")
	client, ok := clientOf(b)
	if ok && client.config.S3 {
		return advised{cause, "use a store that knows If-None-Match on puts, as MinIO does since 2024"}
	}
	if ok {
		// To ask takes a permission that writers need not have.
		versioning, err := client.service.GetBucketVersioning(client.config.Bucket, sdk.WithContext(ctx))
		if err == nil && versioning.Status != "" {
			cause = fmt.Errorf("%w. Versioning of the bucket %q is %s, and OSS ignores x-oss-forbid-overwrite then",
				cause, client.config.Bucket, strings.ToLower(versioning.Status))
		}
	}
	return advised{cause, "create a bucket on which versioning was never enabled (to suspend it does not help), and set OSS_BUCKET to that"}
}

// clientOf is the client under a bucket, if there is one.
func clientOf(b blob.Bucket) (*Client, bool) {
	if outer, _, ok := blob.Outer(b); ok {
		b = outer
	}
	client, ok := b.(*Client)
	return client, ok
}
