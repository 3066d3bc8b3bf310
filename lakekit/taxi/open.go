package taxi

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// OpenCSV opens a file, plain or packed with gzip or zip, whatever its name
// ends in, or a pipe. Of a zip archive it reads train.csv, as Kaggle's download
// has it, or the only CSV file there is. The caller closes the reader.
func OpenCSV(name string) (*CSVReader, error) {
	file, err := os.Open(name)
	return openCSV(file, err)
}

// OpenCSVFile is OpenCSV for a name that somebody else has given: it opens files
// only, and nothing that never ends, waits for another program or does something
// when it is opened.
func OpenCSVFile(name string) (*CSVReader, error) {
	if err := checkFile(os.Stat(name)); err != nil {
		return nil, fmt.Errorf("opening the csv file %s: %w", name, err)
	}
	// Another file may have its name by now, and be looked at again; a pipe does
	// not keep this from going on.
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		if err = checkFile(file.Stat()); err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
		}
	}
	return openCSV(file, err)
}

// checkFile refuses what is no file, and files without a size: those that the
// system makes up, as below /proc, can wait for ever like a pipe.
func checkFile(info fs.FileInfo, err error) error {
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return errors.New("it is a folder: name the file in it")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("it is a pipe, and only files are read")
	case mode&fs.ModeSocket != 0:
		return errors.New("it is a socket, and only files are read")
	case mode&fs.ModeDevice != 0:
		return errors.New("it is a device, and only files are read")
	case !mode.IsRegular():
		return errors.New("it is no file")
	case info.Size() == 0:
		return fmt.Errorf("it is empty; its first line must be %s", Header)
	}
	return nil
}

func openCSV(file *os.File, err error) (*CSVReader, error) {
	if err != nil {
		return nil, fmt.Errorf("opening the csv file: %w", err)
	}
	reader, err := openUnpacked(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return reader, nil
}

func openUnpacked(file *os.File) (*CSVReader, error) {
	name := filepath.Base(file.Name())
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	done := &progress{reader: file, size: info.Size()}
	buffered := bufio.NewReaderSize(done, 1<<20)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	switch string(magic) {
	case "PK\x03\x04", "PK\x05\x06":
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("unpacking %s: a zip archive has its contents at the end and cannot be read from a pipe; give the file's name, or pipe what unzip -p writes", name)
		}
		return openZip(name, file, info.Size())
	}
	if strings.HasPrefix(string(magic), "\x1f\x8b") {
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", name, err)
		}
		return newCSVReader(name, unpacked, done, file.Close)
	}
	return newCSVReader(name, buffered, done, file.Close)
}

func openZip(name string, file *os.File, size int64) (*CSVReader, error) {
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w; the download may be incomplete", name, err)
	}
	archive.RegisterDecompressor(zip.Deflate, flate.NewReader)
	entry, err := chooseCSV(archive.File)
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", name, err)
	}
	unpacked, err := entry.Open()
	if err != nil {
		return nil, fmt.Errorf("unpacking %s in %s: %w", entry.Name, name, err)
	}
	done := &progress{reader: unpacked, size: int64(entry.UncompressedSize64)}
	return newCSVReader(name+"/"+entry.Name, done, done, func() error {
		return errors.Join(unpacked.Close(), file.Close())
	})
}

func chooseCSV(entries []*zip.File) (*zip.File, error) {
	var found []*zip.File
	var names []string
	for _, entry := range entries {
		base := path.Base(entry.Name)
		if base == "train.csv" {
			return entry, nil
		}
		// macOS packs a shadow of every file under __MACOSX.
		if strings.EqualFold(path.Ext(base), ".csv") && !strings.HasPrefix(base, ".") {
			found = append(found, entry)
		}
		names = append(names, entry.Name)
	}
	if len(found) != 1 {
		const shown = 10
		more := ""
		if len(names) > shown {
			more = fmt.Sprintf(" and %d more", len(names)-shown)
		}
		return nil, fmt.Errorf("it holds neither train.csv nor exactly one other csv file, but %q%s", names[:min(len(names), shown)], more)
	}
	return found[0], nil
}

// progress counts how much has been read of a file: packed bytes of gzip,
// which does not say how long it is unpacked, and unpacked ones of zip.
type progress struct {
	reader io.Reader
	size   int64 // 0 where it is unknown
	done   atomic.Int64
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.reader.Read(b)
	p.done.Add(int64(n))
	return n, err
}

// share is between 0 and 1.
func (p *progress) share() float64 {
	if p.size <= 0 {
		return 0
	}
	return min(1, float64(p.done.Load())/float64(p.size))
}
