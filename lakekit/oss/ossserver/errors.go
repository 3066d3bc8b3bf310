package ossserver

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"syscall"

	"taxilake/lakekit/internal/folder"
)

// apiError is an answer of OSS other than success; the codes are those of its
// API reference, "Error responses".
type apiError struct {
	status        int
	code, message string
	signed        *signed
}

// signed tells a client what was signed here, to be held against what it signed.
type signed struct {
	AccessKeyID      string `xml:"OSSAccessKeyId"`
	Signature        string `xml:"SignatureProvided"`
	StringToSign     string
	CanonicalRequest string `xml:",omitempty"`
}

// reasons are OSS's finer codes, "EC", of some errors.
var reasons = map[string]string{
	"AccessDenied":          "0003-00000001",
	"BucketNotEmpty":        "0015-00000301",
	"FileAlreadyExists":     "0026-00000002",
	"InvalidAccessKeyId":    "0002-00000902",
	"NoSuchBucket":          "0015-00000101",
	"NoSuchKey":             "0026-00000001",
	"RequestTimeTooSkewed":  "0002-00000504",
	"SignatureDoesNotMatch": "0002-00000040",
}

func (e apiError) Error() string { return e.code + ": " + e.message }

// with is the same error with its particulars.
func (e apiError) with(message string) apiError {
	e.message = message
	return e
}

var (
	errAccessDenied          = apiError{status: 403, code: "AccessDenied", message: "The request carries no signature."}
	errInvalidAccessKeyID    = apiError{status: 403, code: "InvalidAccessKeyId", message: "The OSS Access Key Id you provided does not exist in our records."}
	errSignatureDoesNotMatch = apiError{status: 403, code: "SignatureDoesNotMatch", message: "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	errTimeTooSkewed         = apiError{status: 403, code: "RequestTimeTooSkewed", message: "The difference between the request time and the current time is too large. Check the clock."}
	errInvalidArgument       = apiError{status: 400, code: "InvalidArgument", message: "Invalid Argument."}
	errInvalidBucketName     = apiError{status: 400, code: "InvalidBucketName", message: "A bucket name is 3 to 63 lowercase letters, digits and inner hyphens."}
	errInvalidObjectName     = apiError{status: 400, code: "InvalidObjectName", message: "The object name is invalid."}
	errInvalidDigest         = apiError{status: 400, code: "InvalidDigest", message: "The Content-MD5 you specified does not match the body."}
	errIncompleteBody        = apiError{status: 400, code: "IncompleteBody", message: "The body ended before its Content-Length."}
	errMalformedXML          = apiError{status: 400, code: "MalformedXML", message: "The XML you provided is not well-formed or not what the operation takes."}
	errInvalidPart           = apiError{status: 400, code: "InvalidPart", message: "One or more of the specified parts could not be found, or their ETag does not match."}
	errInvalidPartOrder      = apiError{status: 400, code: "InvalidPartOrder", message: "The list of parts is not in ascending order."}
	errEntityTooLarge        = apiError{status: 400, code: "EntityTooLarge", message: "The body is longer than 5 GB; put it in parts."}
	errRequestTimeout        = apiError{status: 400, code: "RequestTimeout", message: "Your socket connection to the server was not read from or written to within the timeout period."}
	errTooManyUploads        = apiError{status: 400, code: "TooManyUploads", message: "There are too many unfinished multipart uploads. ListMultipartUploads names them, AbortMultipartUpload ends one."}
	errEntityTooSmall        = apiError{status: 400, code: "EntityTooSmall", message: "A part other than the last is smaller than 100 KB."}
	errNoSuchBucket          = apiError{status: 404, code: "NoSuchBucket", message: "The specified bucket does not exist."}
	errNoSuchKey             = apiError{status: 404, code: "NoSuchKey", message: "The specified key does not exist."}
	errNoSuchUpload          = apiError{status: 404, code: "NoSuchUpload", message: "The specified multipart upload does not exist; it may have been completed or aborted."}
	errMethodNotAllowed      = apiError{status: 405, code: "MethodNotAllowed", message: "The specified method is not allowed against this resource."}
	errFileAlreadyExists     = apiError{status: 409, code: "FileAlreadyExists", message: "The object you specified already exists and can not be overwritten."}
	errBucketNotEmpty        = apiError{status: 409, code: "BucketNotEmpty", message: "The bucket you tried to delete is not empty."}
	errPreconditionFailed    = apiError{status: 412, code: "PreconditionFailed", message: "At least one of the pre-conditions you specified did not hold."}
	errInvalidRange          = apiError{status: 416, code: "InvalidRange", message: "The requested range cannot be satisfied."}
	errNotModified           = apiError{status: 304, code: "NotModified", message: "Not Modified."}
	errServiceUnavailable    = apiError{status: 503, code: "ServiceUnavailable", message: "The request was given up. Please try again."}
	errInternal              = apiError{status: 500, code: "InternalError", message: "We encountered an internal error. See the log of the embedded object store."}
	errNoSuchCondition       = apiError{status: 400, code: "NotImplemented", message: "A header you provided implies functionality that is not implemented."}
	errNotImplemented        = apiError{status: 501, code: "NotImplemented", message: "The embedded object store does not implement this."}

	// OSS knows no full disk; the status is WebDAV's (RFC 4918).
	errInsufficientStorage = apiError{status: 507, code: "InsufficientStorage", message: "The disk of the embedded object store is full. Nothing was written; free some space and try again."}
)

// asAPIError turns the file system's errors into answers.
func asAPIError(err error) apiError {
	var answer apiError
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &tooLong):
		return errEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errRequestTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errServiceUnavailable // to whomever: the client is gone, or the server ends
	case errors.Is(err, folder.ErrKeyConflict):
		return errInvalidObjectName.with(err.Error() + "; choose another key, the embedded object store keeps objects as plain files")
	case errors.Is(err, fs.ErrNotExist):
		return errNoSuchKey
	case errors.Is(err, fs.ErrExist):
		return errFileAlreadyExists
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errInsufficientStorage
	case errors.Is(err, fs.ErrPermission):
		return errInternal.with("The embedded object store may not write to its folder. Check the folder's owner and mode.")
	case errors.As(err, new(bodyError)):
		return errIncompleteBody
	}
	return errInternal
}

func (e apiError) write(w http.ResponseWriter, r *request) {
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
		HostID    string `xml:"HostId"`
		Bucket    string `xml:"BucketName,omitempty"`
		Key       string `xml:",omitempty"`
		EC        string `xml:",omitempty"`
		*signed
	}{Code: e.code, Message: e.message, RequestID: r.id, HostID: r.Host, Bucket: r.bucket, Key: r.key, EC: reasons[e.code], signed: e.signed})
	if err != nil {
		body = fmt.Appendf(nil, "<Error><Code>%s</Code></Error>", e.code)
	}
	body = append([]byte(xml.Header), body...)
	header := w.Header()
	if reason := reasons[e.code]; reason != "" {
		header.Set("X-Oss-Ec", reason)
	}
	if r.Method == http.MethodHead || e.status == http.StatusNotModified {
		// No body here: SDKs look for the error in this header.
		header.Set("X-Oss-Err", base64.StdEncoding.EncodeToString(body))
		w.WriteHeader(e.status)
		return
	}
	header.Set("Content-Type", "application/xml")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	w.Write(body)
}

// writeXML answers with a document.
func writeXML(w http.ResponseWriter, document any) error {
	body, err := xml.Marshal(document)
	if err != nil {
		return err
	}
	body = append([]byte(xml.Header), body...)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
	return nil
}
