package oss

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc64"
	"net/http"
	"strconv"
	"strings"
)

// digest sums up what is read of an object, to compare it with what the store
// says of it.
type digest struct {
	hash.Hash
	name string
	want string // as text gives it
	text func([]byte) string
}

func (d *digest) matches() bool { return d.text(d.Sum(nil)) == d.want }

var crcTable = crc64.MakeTable(crc64.ECMA)

// digestOf is what the answer to a get says of the whole object: on OSS its
// CRC-64, on S3 an ETag that is its MD5. It is nil where nothing is said.
func digestOf(header http.Header, s3 bool) *digest {
	if crc, err := strconv.ParseUint(header.Get("X-Oss-Hash-Crc64ecma"), 10, 64); err == nil {
		return &digest{crc64.New(crcTable), "CRC-64", fmt.Sprintf("%016x", crc), hex.EncodeToString}
	}
	if !s3 || strings.Contains(header.Get("X-Oss-Server-Side-Encryption"), "kms") {
		return nil // an ETag is no digest then
	}
	etag := strings.ToLower(unquoted(header.Get("ETag")))
	sum, parts, inParts := strings.Cut(etag, "-")
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != md5.Size {
		return nil
	}
	if !inParts {
		return &digest{md5.New(), "MD5", etag, hex.EncodeToString}
	}
	size, err := strconv.ParseInt(header.Get("X-Oss-Meta-"+metaPartSize), 10, 64)
	if err != nil || size <= 0 {
		return nil // put in parts by someone else
	}
	return &digest{&partsMD5{size: size, part: md5.New()}, "MD5", etag, func(sum []byte) string {
		return hex.EncodeToString(sum) + "-" + parts
	}}
}

// partsMD5 is the MD5 of the MD5s of parts of some size, S3's ETag of an object
// that was put in such parts.
type partsMD5 struct {
	size, filled int64
	part         hash.Hash
	sums         []byte
}

func (p *partsMD5) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(int64(len(rest)), p.size-p.filled)
		p.part.Write(rest[:n])
		rest = rest[n:]
		if p.filled += n; p.filled == p.size {
			p.endPart()
		}
	}
	return len(data), nil
}

func (p *partsMD5) endPart() {
	p.sums = p.part.Sum(p.sums)
	p.part.Reset()
	p.filled = 0
}

// Sum appends the digest. Unlike other hashes, it takes no more data then.
func (p *partsMD5) Sum(prefix []byte) []byte {
	if p.filled > 0 {
		p.endPart()
	}
	sum := md5.Sum(p.sums)
	return append(prefix, sum[:]...)
}

func (p *partsMD5) Reset()         { p.sums, p.filled = nil, 0; p.part.Reset() }
func (p *partsMD5) Size() int      { return md5.Size }
func (p *partsMD5) BlockSize() int { return md5.BlockSize }
