package oss

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// Get implements Bucket. A connection that breaks while the object is read is
// replaced without the reader noticing, as long as the object is the same.
func (c *Client) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	return c.download(ctx, "get", key)
}

// GetRange implements Bucket.
func (c *Client) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	switch {
	case offset < 0:
		return nil, c.fail("get range of", key, fmt.Errorf("range: offset %d is negative", offset))
	case length == 0:
		if _, err := c.Head(ctx, key); err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(nil)), nil
	case length < 0:
		return c.download(ctx, "get range of", key, byteRange(offset, -1)...)
	}
	return c.download(ctx, "get range of", key, byteRange(offset, offset+length-1)...)
}

// byteRange asks for first to last, or to the end if last is negative. The
// standard behavior is asked for as OSS otherwise sends the whole object for a
// range that reaches beyond its end.
func byteRange(first, last int64) []sdk.Option {
	to := ""
	if last >= 0 {
		to = strconv.FormatInt(last, 10)
	}
	return []sdk.Option{sdk.NormalizedRange(fmt.Sprintf("%d-%s", first, to)), sdk.RangeBehavior("standard")}
}

// download is the body of a get, resumed where a connection breaks.
type download struct {
	ctx         context.Context
	client      *Client
	op, key     string
	body        io.ReadCloser
	offset, end int64 // of the object: what is still to be read
	etag        string
	digest      *digest // nil where the store gave none for what is read
	resumptions int
	resumedAt   int64
}

func (c *Client) download(ctx context.Context, op, key string, options ...sdk.Option) (io.ReadCloser, error) {
	result, err := c.open(ctx, op, key, options...)
	if err != nil {
		return nil, err
	}
	header := result.Response.Headers
	d := &download{ctx: ctx, client: c, op: op, key: key, body: result.Response.Body, etag: header.Get("ETag")}
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err == nil && len(options) > 0 {
		_, err = fmt.Sscanf(header.Get("Content-Range"), "bytes %d-", &d.offset)
	}
	if err != nil {
		d.body.Close()
		return nil, c.fail(op, key, fmt.Errorf("answer without valid Content-Length and Content-Range: %w", err))
	}
	d.end = d.offset + length
	if len(options) == 0 {
		d.digest = digestOf(header, c.config.S3)
	}
	return d, nil
}

func (c *Client) open(ctx context.Context, op, key string, options ...sdk.Option) (result *sdk.GetObjectResult, err error) {
	options = append(options, sdk.WithContext(ctx))
	err = c.retryKey(ctx, op, key, func() (err error) {
		result, err = c.bucket.DoGetObject(&sdk.GetObjectRequest{ObjectKey: key}, options)
		return err
	})
	return result, err
}

func (d *download) Read(p []byte) (int, error) {
	for {
		n, err := d.body.Read(p)
		d.offset += int64(n)
		if d.digest != nil {
			d.digest.Write(p[:n])
		}
		switch {
		case err == nil:
			return n, nil
		case err == io.EOF && d.offset == d.end:
			if d.digest != nil && !d.digest.matches() {
				return n, d.client.fail(d.op, d.key, fmt.Errorf("the %s of what arrived is not that of the object: it was damaged on its way or in the store", d.digest.name))
			}
			return n, io.EOF
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if resumeErr := d.resume(err); resumeErr != nil {
			return n, resumeErr
		}
		if n > 0 {
			return n, nil
		}
	}
}

// resume opens the rest of the object after a broken connection.
func (d *download) resume(cause error) error {
	if err := d.ctx.Err(); err != nil {
		return d.client.fail(d.op, d.key, err)
	}
	if d.offset > d.resumedAt {
		d.resumptions, d.resumedAt = 0, d.offset
	}
	if d.resumptions++; d.resumptions >= attempts || d.offset >= d.end {
		return d.client.fail(d.op, d.key, cause)
	}
	result, err := d.client.open(d.ctx, d.op, d.key, append(byteRange(d.offset, d.end-1), sdk.IfMatch(d.etag))...)
	if err != nil {
		return err
	}
	d.body.Close()
	d.body = result.Response.Body
	return nil
}

func (d *download) Close() error { return d.body.Close() }
