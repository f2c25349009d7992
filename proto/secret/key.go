package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

// UnlockKey returns a private key in PEM form without its password. It knows what OpenSSL writes: PKCS #8 under PBES2
// (RFC 8018) with PBKDF2, and the older form with a DEK-Info header.
func UnlockKey(text []byte, password string) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the text is not in PEM form")
	}
	//lint:ignore SA1019 the form is old, and in use
	old := x509.IsEncryptedPEMBlock(block) //nolint:staticcheck // the form is old, and in use
	if block.Type != "ENCRYPTED PRIVATE KEY" && !old {
		return text, nil
	}
	if password == "" {
		return nil, errors.New("the key is encrypted: key_password is missing")
	}
	if old {
		//lint:ignore SA1019 as above
		der, err := x509.DecryptPEMBlock(block, []byte(password)) //nolint:staticcheck // as above
		if err != nil {
			return nil, fmt.Errorf("decrypting: %w", err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
	}
	der, err := decryptPKCS8(block.Bytes, password)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	digests = map[string]func() hash.Hash{
		"1.2.840.113549.2.7":  sha1.New, // the default where none is named
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	ciphers = map[string]struct {
		size  int
		block func([]byte) (cipher.Block, error)
	}{
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	}
)

// decryptPKCS8 opens an EncryptedPrivateKeyInfo.
func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	var pbes2 struct{ Derivation, Encryption pkix.AlgorithmIdentifier }
	var derivation struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		Digest     pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	var iv []byte
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("the key is encrypted by %v, which is not PBES2", info.Algorithm.Algorithm)
	}
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &pbes2); err != nil {
		return nil, err
	}
	if !pbes2.Derivation.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("the password is derived by %v, which is not PBKDF2", pbes2.Derivation.Algorithm)
	}
	if _, err := asn1.Unmarshal(pbes2.Derivation.Parameters.FullBytes, &derivation); err != nil {
		return nil, err
	}
	digest := sha1.New
	if len(derivation.Digest.Algorithm) > 0 {
		var ok bool
		if digest, ok = digests[derivation.Digest.Algorithm.String()]; !ok {
			return nil, fmt.Errorf("the digest %v is not known", derivation.Digest.Algorithm)
		}
	}
	method, ok := ciphers[pbes2.Encryption.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("the cipher %v is not known", pbes2.Encryption.Algorithm)
	}
	if _, err := asn1.Unmarshal(pbes2.Encryption.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(digest, password, derivation.Salt, derivation.Iterations, method.size)
	if err != nil {
		return nil, err
	}
	block, err := method.block(key)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(info.Data) == 0 || len(info.Data)%size != 0 {
		return nil, errors.New("the encrypted part has a wrong length")
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size {
		return nil, errors.New("the password is wrong")
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errors.New("the password is wrong")
		}
	}
	return plain[:len(plain)-pad], nil
}
