// Asks Hyperledger Fabric's own code: which identities an MSP accepts and in which roles, which policies are satisfied,
// and what proposals, responses, transactions and blocks look like. Reads questions as JSON, writes answers; make.py
// runs it and keeps both in vectors.json, so that the tests need no Go.
package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"

	"github.com/golang/protobuf/proto"
	"github.com/hyperledger/fabric-protos-go/common"
	mb "github.com/hyperledger/fabric-protos-go/msp"
	"github.com/hyperledger/fabric-protos-go/peer"
	"github.com/hyperledger/fabric/bccsp/factory"
	"github.com/hyperledger/fabric/bccsp/utils"
	"github.com/hyperledger/fabric/common/cauthdsl"
	"github.com/hyperledger/fabric/common/policydsl"
	"github.com/hyperledger/fabric/msp"
	"github.com/hyperledger/fabric/protoutil"
)

type mspQuestion struct {
	Name          string
	Roots         [][]byte
	Intermediates [][]byte
	Crls          [][]byte
	NodeOus       bool
}

type question struct {
	Msps       []mspQuestion
	Identities [][]byte // SerializedIdentity
	Policies   []string
	Signers    [][]int // of the identities
	Key        []byte  // PKCS8 of the first identity
	Channel    string
	Chaincode  string
	Args       [][]byte
	Results    []byte
}

type answer struct {
	Msps        []string // error text, empty: accepted
	Valid       []string
	Roles       [][]bool // by identity, over MEMBER, ADMIN, CLIENT, PEER, ORDERER
	Envelopes   [][]byte
	PolicyFault []string
	Satisfied   [][]bool // by policy, by signers
	Proposal    []byte
	TxID        string
	Hash        []byte
	Payload     []byte
	Endorsement []byte // protos.ProposalResponse
	Envelope    []byte // common.Envelope
	HeaderBytes []byte
	HeaderHash  []byte
	DataHash    []byte
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func pemOf(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

func pems(raws [][]byte) [][]byte {
	var out [][]byte
	for _, raw := range raws {
		out = append(out, pemOf(raw))
	}
	return out
}

func setup(q mspQuestion) (msp.MSP, error) {
	config := &mb.FabricMSPConfig{
		Name:              q.Name,
		RootCerts:         pems(q.Roots),
		IntermediateCerts: pems(q.Intermediates),
		RevocationList:    q.Crls,
		CryptoConfig:      &mb.FabricCryptoConfig{SignatureHashFamily: "SHA2", IdentityIdentifierHashFunction: "SHA256"},
	}
	unit := func(name string) *mb.FabricOUIdentifier {
		return &mb.FabricOUIdentifier{OrganizationalUnitIdentifier: name}
	}
	config.FabricNodeOus = &mb.FabricNodeOUs{
		Enable: q.NodeOus, ClientOuIdentifier: unit("client"), PeerOuIdentifier: unit("peer"),
		AdminOuIdentifier: unit("admin"), OrdererOuIdentifier: unit("orderer"),
	}
	if !q.NodeOus {
		config.FabricNodeOus = nil
		config.Admins = nil
	}
	raw, err := proto.Marshal(config)
	must(err)
	version := msp.MSPVersion(msp.MSPv1_4_3)
	if !q.NodeOus {
		version = msp.MSPv1_3
	}
	made, err := msp.New(&msp.BCCSPNewOpts{NewBaseOpts: msp.NewBaseOpts{Version: version}}, factory.GetDefault())
	must(err)
	return made, made.Setup(&mb.MSPConfig{Type: int32(msp.FABRIC), Config: raw})
}

type signer struct {
	key        *ecdsa.PrivateKey
	serialized []byte
}

func (s signer) Sign(message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	must(err)
	v, err = utils.ToLowS(&s.key.PublicKey, v)
	must(err)
	return utils.MarshalECDSASignature(r, v)
}

func (s signer) Serialize() ([]byte, error) { return s.serialized, nil }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func roles(id msp.Identity, name string) []bool {
	var out []bool
	for _, role := range []mb.MSPRole_MSPRoleType{
		mb.MSPRole_MEMBER, mb.MSPRole_ADMIN, mb.MSPRole_CLIENT, mb.MSPRole_PEER, mb.MSPRole_ORDERER,
	} {
		raw, err := proto.Marshal(&mb.MSPRole{MspIdentifier: name, Role: role})
		must(err)
		out = append(out, id.SatisfiesPrincipal(&mb.MSPPrincipal{Principal: raw}) == nil)
	}
	return out
}

func main() {
	var q question
	must(json.NewDecoder(os.Stdin).Decode(&q))
	var a answer
	var msps []msp.MSP
	for _, each := range q.Msps {
		made, err := setup(each)
		a.Msps = append(a.Msps, text(err))
		if err == nil {
			msps = append(msps, made)
		}
	}
	manager := msp.NewMSPManager()
	must(manager.Setup(msps))
	var ids []msp.Identity
	for _, raw := range q.Identities {
		id, err := manager.DeserializeIdentity(raw)
		ids = append(ids, id)
		if err != nil {
			a.Valid = append(a.Valid, err.Error())
			a.Roles = append(a.Roles, make([]bool, 5))
			continue
		}
		a.Valid = append(a.Valid, text(id.Validate()))
		a.Roles = append(a.Roles, roles(id, id.GetMSPIdentifier()))
	}
	for _, each := range q.Policies {
		envelope, err := policydsl.FromString(each)
		a.PolicyFault = append(a.PolicyFault, text(err))
		var satisfied []bool
		var raw []byte
		if err == nil {
			raw, err = proto.Marshal(envelope)
			must(err)
			policy, err := (&cauthdsl.EnvelopeBasedPolicyProvider{Deserializer: manager}).NewPolicy(envelope)
			must(err)
			for _, picked := range q.Signers {
				var chosen []msp.Identity
				for _, i := range picked {
					chosen = append(chosen, ids[i])
				}
				satisfied = append(satisfied, policy.EvaluateIdentities(chosen) == nil)
			}
		}
		a.Envelopes = append(a.Envelopes, raw)
		a.Satisfied = append(a.Satisfied, satisfied)
	}
	wire(q, &a)
	must(json.NewEncoder(os.Stdout).Encode(a))
}

func wire(q question, a *answer) {
	key, err := x509.ParsePKCS8PrivateKey(q.Key)
	must(err)
	me := signer{key: key.(*ecdsa.PrivateKey), serialized: q.Identities[0]}
	spec := &peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{
		Type: peer.ChaincodeSpec_GOLANG, ChaincodeId: &peer.ChaincodeID{Name: q.Chaincode},
		Input: &peer.ChaincodeInput{Args: q.Args},
	}}
	transient := map[string][]byte{"secret": []byte("whisper"), "another": []byte("one")}
	proposal, id, err := protoutil.CreateChaincodeProposalWithTransient(
		common.HeaderType_ENDORSER_TRANSACTION, q.Channel, spec, me.serialized, transient)
	must(err)
	header, err := protoutil.UnmarshalHeader(proposal.Header)
	must(err)
	a.TxID = id
	a.Proposal, err = proto.Marshal(proposal)
	must(err)
	a.Hash, err = protoutil.GetProposalHash1(header, proposal.Payload)
	must(err)
	response := &peer.Response{Status: 200, Message: "fine", Payload: []byte("answer")}
	made, err := protoutil.CreateProposalResponse(proposal.Header, proposal.Payload, response, q.Results, []byte{},
		&peer.ChaincodeID{Name: q.Chaincode, Version: "1.0"}, me)
	must(err)
	a.Payload = made.Payload
	a.Endorsement, err = proto.Marshal(made)
	must(err)
	envelope, err := protoutil.CreateSignedTx(proposal, me, made)
	must(err)
	a.Envelope, err = proto.Marshal(envelope)
	must(err)
	block := protoutil.NewBlock(1<<40+200, a.Hash)
	block.Data.Data = [][]byte{a.Envelope, []byte("another")}
	block.Header.DataHash = protoutil.BlockDataHash(block.Data)
	a.DataHash = block.Header.DataHash
	a.HeaderBytes = protoutil.BlockHeaderBytes(block.Header)
	a.HeaderHash = protoutil.BlockHeaderHash(block.Header)
}
