package oss

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"taxilake/lakekit/blob"
)

// Put implements Bucket.
func (c *Client) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return c.put(ctx, putting{op: "put", key: key, again: temporary}, body)
}

// PutIfAbsent implements Bucket.
func (c *Client) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	p := putting{op: "put if absent", key: key, again: unstored, options: []sdk.Option{sdk.ForbidOverWrite(true)}}
	return c.put(ctx, p, body)
}

// putting is a put under way.
type putting struct {
	op, key string
	again   func(error) bool // tells whether the request that stores the object may be sent again
	options []sdk.Option     // of that request
}

func (c *Client) put(ctx context.Context, p putting, body io.ReadSeeker) error {
	if err := blob.CheckKey(p.key); err != nil {
		return c.fail(p.op, p.key, err)
	}
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return c.fail(p.op, p.key, err)
	}
	end, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return c.fail(p.op, p.key, err)
	}
	if _, err := body.Seek(start, io.SeekStart); err != nil {
		return c.fail(p.op, p.key, err)
	}
	p.options = append(p.options, sdk.WithContext(ctx))
	if c.config.S3 {
		p.again = orDenied(p.again)
	}
	if end-start > c.multipart.threshold {
		return c.putParts(ctx, p, body, end-start)
	}
	if err := ctx.Err(); err != nil {
		return c.fail(p.op, p.key, err)
	}
	sum := md5.New()
	if _, err := io.CopyN(sum, body, end-start); err != nil {
		return c.fail(p.op, p.key, unexpected(err))
	}
	p.options = append(p.options, contentMD5(sum.Sum(nil)))
	return c.retryIf(ctx, p.op, p.key, p.again, func() error {
		if _, err := body.Seek(start, io.SeekStart); err != nil {
			return bodyError{err}
		}
		sent := &upload{body: body, left: end - start}
		err := c.bucket.PutObject(p.key, sent, p.options...)
		return cmp.Or(sent.err, err)
	})
}

// orDenied has a put that is denied sent twice again: MinIO denies access also
// where a delete takes away the empty folder in which the object was to be.
func orDenied(again func(error) bool) func(error) bool {
	denials := 0
	return func(err error) bool {
		var service sdk.ServiceError
		if errors.As(err, &service) && service.Code == "AccessDenied" {
			denials++
			return denials <= 2
		}
		return again(err)
	}
}

// contentMD5 has the store check a body before it stores it.
func contentMD5(sum []byte) sdk.Option {
	return sdk.ContentMD5(base64.StdEncoding.EncodeToString(sum))
}

// unexpected is the error of a body that ends before its length.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
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
