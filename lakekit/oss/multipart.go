package oss

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"errors"
	"io"
	"strconv"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	"golang.org/x/sync/errgroup"
)

// partSizes say when an object is put in parts, in bytes.
type partSizes struct {
	threshold int64 // larger objects are
	part      int64
}

var multipart = partSizes{threshold: 32 << 20, part: 8 << 20}

const (
	maxParts      = 10_000 // of an upload; OSS and S3
	partsInFlight = 4      // each is in memory until the store has it
	abortTimeout  = 10 * time.Second
)

// What an object put in parts says of itself, as x-oss-meta-*.
const (
	metaUpload   = "lakekit-upload"    // the id of the put
	metaPartSize = "lakekit-part-size" // bytes
)

// putParts puts the size bytes of a large body, of which nothing can be seen
// before all have arrived.
func (c *Client) putParts(ctx context.Context, p putting, body io.Reader, size int64) error {
	id := rand.Text()
	partSize := max(c.multipart.part, (size+maxParts-1)/maxParts)
	var target sdk.InitiateMultipartUploadResult
	err := c.retry(ctx, p.op, p.key, func() (err error) {
		target, err = c.bucket.InitiateMultipartUpload(p.key, sdk.WithContext(ctx),
			sdk.Meta(metaUpload, id), sdk.Meta(metaPartSize, strconv.FormatInt(partSize, 10)))
		return err
	})
	if err != nil {
		return err
	}
	target.Key = p.key
	parts, err := c.sendParts(ctx, p, target, body, size, partSize)
	if err == nil {
		err = c.completeParts(ctx, p, target, parts, id)
	}
	if err != nil {
		c.abortParts(ctx, target)
	}
	return err
}

func (c *Client) sendParts(
	ctx context.Context, p putting, target sdk.InitiateMultipartUploadResult, body io.Reader, size, partSize int64,
) ([]sdk.UploadPart, error) {
	parts := make([]sdk.UploadPart, (size+partSize-1)/partSize)
	buffers := make(chan []byte, partsInFlight)
	for range partsInFlight {
		buffers <- nil // made when first needed
	}
	group, ctx := errgroup.WithContext(ctx)
	for n := range parts {
		buffer := <-buffers
		if ctx.Err() != nil {
			break
		}
		if buffer == nil {
			buffer = make([]byte, partSize)
		}
		content := buffer[:min(partSize, size-int64(n)*partSize)]
		if _, err := io.ReadFull(body, content); err != nil {
			group.Go(func() error { return c.fail(p.op, p.key, unexpected(err)) })
			break
		}
		group.Go(func() error {
			defer func() { buffers <- buffer }()
			sum := md5.Sum(content)
			return c.retry(ctx, p.op, p.key, func() (err error) {
				parts[n], err = c.bucket.UploadPart(target, bytes.NewReader(content), int64(len(content)), n+1,
					sdk.WithContext(ctx), contentMD5(sum[:]))
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return parts, nil
}

func (c *Client) completeParts(
	ctx context.Context, p putting, target sdk.InitiateMultipartUploadResult, parts []sdk.UploadPart, id string,
) error {
	err := c.retryIf(ctx, p.op, p.key, p.again, func() error {
		_, err := c.bucket.CompleteMultipartUpload(target, parts, p.options...)
		return err
	})
	var service sdk.ServiceError
	if errors.As(err, &service) && service.Code == "NoSuchUpload" {
		// The answer to an earlier attempt may have been lost.
		header, headErr := c.bucket.GetObjectDetailedMeta(p.key, sdk.WithContext(ctx))
		if headErr == nil && header.Get("X-Oss-Meta-"+metaUpload) == id {
			return nil
		}
	}
	return err
}

// abortParts gives back the space of an upload, if it can: stores do so
// themselves after some time.
func (c *Client) abortParts(ctx context.Context, target sdk.InitiateMultipartUploadResult) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	c.retry(ctx, "abort put", target.Key, func() error {
		return c.bucket.AbortMultipartUpload(target, sdk.WithContext(ctx))
	})
}
