package ossserver

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"syscall"

	"taxilake/lakekit/oss/internal/folder"
)

// apiError is an answer of OSS other than success; the codes are those of its
// API reference, "Error responses".
type apiError struct {
	status        int
	code, message string
}

func (e apiError) Error() string { return e.code + ": " + e.message }

// with is the same error with its particulars.
func (e apiError) with(message string) apiError {
	e.message = message
	return e
}

var (
	errAccessDenied          = apiError{403, "AccessDenied", "The request carries no signature."}
	errInvalidAccessKeyID    = apiError{403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."}
	errSignatureDoesNotMatch = apiError{403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	errTimeTooSkewed         = apiError{403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large. Check the clock."}
	errInvalidArgument       = apiError{400, "InvalidArgument", "Invalid Argument."}
	errInvalidBucketName     = apiError{400, "InvalidBucketName", "A bucket name is 3 to 63 lowercase letters, digits and inner hyphens."}
	errInvalidObjectName     = apiError{400, "InvalidObjectName", "The object name is invalid."}
	errInvalidDigest         = apiError{400, "InvalidDigest", "The Content-MD5 you specified does not match the body."}
	errIncompleteBody        = apiError{400, "IncompleteBody", "The body ended before its Content-Length."}
	errMalformedXML          = apiError{400, "MalformedXML", "The XML you provided is not well-formed or not what the operation takes."}
	errInvalidPart           = apiError{400, "InvalidPart", "One or more of the specified parts could not be found, or their ETag does not match."}
	errInvalidPartOrder      = apiError{400, "InvalidPartOrder", "The list of parts is not in ascending order."}
	errEntityTooSmall        = apiError{400, "EntityTooSmall", "A part other than the last is smaller than 100 KB."}
	errNoSuchBucket          = apiError{404, "NoSuchBucket", "The specified bucket does not exist."}
	errNoSuchKey             = apiError{404, "NoSuchKey", "The specified key does not exist."}
	errNoSuchUpload          = apiError{404, "NoSuchUpload", "The specified multipart upload does not exist; it may have been completed or aborted."}
	errMethodNotAllowed      = apiError{405, "MethodNotAllowed", "The specified method is not allowed against this resource."}
	errFileAlreadyExists     = apiError{409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten."}
	errBucketNotEmpty        = apiError{409, "BucketNotEmpty", "The bucket you tried to delete is not empty."}
	errPreconditionFailed    = apiError{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."}
	errInvalidRange          = apiError{416, "InvalidRange", "The requested range cannot be satisfied."}
	errNotModified           = apiError{304, "NotModified", "Not Modified."}
	errInternal              = apiError{500, "InternalError", "We encountered an internal error. See the log of the embedded object store."}
	errNotImplemented        = apiError{501, "NotImplemented", "The embedded object store does not implement this."}

	// OSS knows no full disk; the status is WebDAV's (RFC 4918).
	errInsufficientStorage = apiError{507, "InsufficientStorage", "The disk of the embedded object store is full. Nothing was written; free some space and try again."}
)

// asAPIError turns the file system's errors into answers.
func asAPIError(err error) apiError {
	var answer apiError
	switch {
	case errors.As(err, &answer):
		return answer
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
	}{Code: e.code, Message: e.message, RequestID: r.id, HostID: r.Host, Bucket: r.bucket, Key: r.key})
	if err != nil {
		body = fmt.Appendf(nil, "<Error><Code>%s</Code></Error>", e.code)
	}
	body = append([]byte(xml.Header), body...)
	header := w.Header()
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
