// Prints the FileDescriptorSet of Hyperledger Fabric's messages, from the descriptors that the Go module
// fabric-protos-go carries; no package ships all of Fabric's .proto files.
//
//	go run . > ../../proto/fabric_protos/fabric.binpb && python ../../proto/generate.py
//
// Files that import each other by "common/common.proto" get the prefix "fabric_protos/", so that the generated Python
// modules form one package. Packages and message names stay Fabric's: they are what the wire and gRPC see.
package main

import (
	"os"
	"regexp"
	"sort"
	"strings"

	_ "github.com/hyperledger/fabric-protos-go/common"
	_ "github.com/hyperledger/fabric-protos-go/gateway"
	_ "github.com/hyperledger/fabric-protos-go/ledger/queryresult"
	_ "github.com/hyperledger/fabric-protos-go/ledger/rwset"
	_ "github.com/hyperledger/fabric-protos-go/ledger/rwset/kvrwset"
	_ "github.com/hyperledger/fabric-protos-go/msp"
	_ "github.com/hyperledger/fabric-protos-go/orderer"
	_ "github.com/hyperledger/fabric-protos-go/orderer/etcdraft"
	_ "github.com/hyperledger/fabric-protos-go/peer"
	_ "github.com/hyperledger/fabric-protos-go/peer/lifecycle"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

const prefix = "fabric_protos/"

var rooms = regexp.MustCompile("^(common|gateway|ledger|msp|orderer|peer)/")

func placed(path string) string {
	if rooms.MatchString(path) {
		return prefix + path
	}
	return path
}

func collect() map[string]*descriptorpb.FileDescriptorProto {
	files := map[string]*descriptorpb.FileDescriptorProto{}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		text := protodesc.ToFileDescriptorProto(file)
		text.Name = proto.String(placed(file.Path()))
		for i, path := range text.Dependency {
			text.Dependency[i] = placed(path)
		}
		files[text.GetName()] = text
		return true
	})
	return files
}

// ordered lists files after what they import, by name otherwise: the same bytes every time.
func ordered(files map[string]*descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorSet {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, path := range files[name].GetDependency() {
			add(path)
		}
		set.File = append(set.File, files[name])
	}
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			add(name)
		}
	}
	return set
}

func main() {
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(ordered(collect()))
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.Write(out); err != nil {
		panic(err)
	}
}
