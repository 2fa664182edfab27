// SPDX-License-Identifier: Apache-2.0
// crypto and crypto.subtle (W3C Web Cryptography). The worker computes, src/worker/web_crypto.c and
// web_cipher.c, at once: the promises wait for nothing.

{
  const HASHES = ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'];
  const DIGEST_BITS = [160, 256, 384, 512], BLOCK_BITS = [512, 512, 1024, 1024];
  const JWK_HMAC = ['HS1', 'HS256', 'HS384', 'HS512'];
  const AES_MODES = ['AES-GCM', 'AES-CBC', 'AES-CTR'];
  const GCM = 0, CBC = 1, CTR = 2;
  const USAGES = ['encrypt', 'decrypt', 'sign', 'verify', 'deriveKey', 'deriveBits', 'wrapKey', 'unwrapKey'];
  const EMPTY = new Uint8Array(0);

  const fail = (name, message) => new DOMException(message, name);
  const notSupported = (name, what) => fail('NotSupportedError', `the algorithm ${name} cannot ${what}: there are SHA-1, SHA-256, SHA-384, SHA-512, HMAC, AES-GCM, AES-CBC, AES-CTR, PBKDF2 and HKDF`);

  // {name, …} with the name as the standard writes it.
  function algorithmOf(value) {
    const given = typeof value === 'object' && value !== null ? value : { name: value };
    if (given.name === undefined) throw withCode(new TypeError('an algorithm needs a name'), 'ERR_MISSING_OPTION');
    const name = `${given.name}`.toUpperCase();
    return { ...given, name: [...HASHES, ...AES_MODES, 'HMAC', 'PBKDF2', 'HKDF'].includes(name) ? name : `${given.name}` };
  }

  function hashOf(value) {
    if (value === undefined) throw withCode(new TypeError('the algorithm needs a hash'), 'ERR_MISSING_OPTION');
    const { name } = algorithmOf(value);
    const hash = HASHES.indexOf(name);
    if (hash < 0) throw notSupported(name, 'be a hash');
    return hash;
  }

  const copyOf = (source, what) => new Uint8Array(needBytes(source, what));

  let secretOf; // the bytes of a CryptoKey
  let makeKey;

  class CryptoKey {
    #type;
    #extractable;
    #algorithm;
    #usages;
    #secret;

    constructor(parts = undefined) {
      if (parts === undefined || parts.permit !== makeKey) throw illegalConstructor();
      ({ extractable: this.#extractable, algorithm: this.#algorithm, usages: this.#usages, secret: this.#secret } = parts);
      this.#type = 'secret';
    }

    static {
      secretOf = key => key.#secret;
      makeKey = (secret, algorithm, extractable, usages) => new CryptoKey({ permit: makeKey, secret, algorithm, extractable: Boolean(extractable), usages: [...new Set(usages)] });
    }

    get type() { return this.#type; }
    get extractable() { return this.#extractable; }
    get algorithm() { return this.#algorithm; }
    get usages() { return this.#usages; }
  }
  exposeClass('CryptoKey', CryptoKey);
  showAs(CryptoKey, function () {
    const { type, extractable, algorithm, usages } = this;
    return Object.assign(Object.create({ constructor: CryptoKey }), { type, extractable, algorithm, usages });
  });

  function needKey(key, name, usage) {
    if (!(key instanceof CryptoKey)) throw withCode(new TypeError('the key must be a CryptoKey'), 'ERR_INVALID_ARG_TYPE');
    if (key.algorithm.name !== name) throw fail('InvalidAccessError', `the key is for ${key.algorithm.name}, not ${name}`);
    if (!key.usages.includes(usage)) throw fail('InvalidAccessError', `the key must not be used to ${usage}`);
    return secretOf(key);
  }

  function checkUsages(usages, allowed, name) {
    const list = [...usages];
    for (const usage of list) {
      if (!USAGES.includes(usage)) throw withCode(new TypeError(`"${usage}" is no usage of a key`), 'ERR_INVALID_ARG_VALUE');
      if (!allowed.includes(usage)) throw fail('SyntaxError', `a key of ${name} cannot be used to ${usage}`);
    }
    if (list.length === 0) throw fail('SyntaxError', 'Usages cannot be empty when importing a secret key.');
    return list;
  }

  const HMAC_USAGES = ['sign', 'verify'];
  const AES_USAGES = ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey'];
  const DERIVE_USAGES = ['deriveKey', 'deriveBits'];

  function usagesOf(name, usages) {
    if (name === 'HMAC') return checkUsages(usages, HMAC_USAGES, name);
    if (AES_MODES.includes(name)) return checkUsages(usages, AES_USAGES, name);
    if (name === 'PBKDF2' || name === 'HKDF') return checkUsages(usages, DERIVE_USAGES, name);
    throw notSupported(name, 'have keys');
  }

  const isAesLength = bits => bits === 128 || bits === 192 || bits === 256;

  // The algorithm that a key says, for bytes that were imported.
  function keyAlgorithm(algorithm, bytes) {
    const { name } = algorithm;
    if (name === 'HMAC') {
      const hash = hashOf(algorithm.hash);
      if (bytes.length === 0) throw fail('DataError', 'Zero-length key is not supported');
      const { length = bytes.length * 8 } = algorithm;
      if (length > bytes.length * 8 || length <= bytes.length * 8 - 8) throw fail('DataError', 'Invalid key length');
      return { name, hash: { name: HASHES[hash] }, length };
    }
    if (AES_MODES.includes(name)) {
      if (!isAesLength(bytes.length * 8)) throw fail('DataError', 'Invalid key length');
      return { name, length: bytes.length * 8 };
    }
    return { name };
  }

  const jwkName = algorithm => algorithm.name === 'HMAC' ? JWK_HMAC[HASHES.indexOf(algorithm.hash.name)] : `A${algorithm.length}${algorithm.name.slice(4)}`;

  function readJwk(jwk, algorithm, extractable, usages) {
    if (typeof jwk !== 'object' || jwk === null) throw withCode(new TypeError('a key in the format jwk is an object'), 'ERR_INVALID_ARG_TYPE');
    if (jwk.kty !== 'oct') throw fail('DataError', 'Invalid JWK "kty" Parameter');
    if (typeof jwk.k !== 'string' || !/^[A-Za-z0-9_-]*$/.test(jwk.k)) throw fail('DataError', 'Invalid JWK "k" Parameter');
    if (jwk.use !== undefined && jwk.use !== (algorithm.name === 'HMAC' ? 'sig' : 'enc')) throw fail('DataError', 'Invalid JWK "use" Parameter');
    if (jwk.key_ops !== undefined && usages.some(u => !jwk.key_ops.includes(u))) throw fail('DataError', 'Key operations and usage mismatch');
    if (jwk.ext === false && extractable) throw fail('DataError', 'JWK "ext" Parameter and extractable mismatch');
    const bytes = host.encodeText(jwk.k, TEXT_BASE64URL);
    if (jwk.alg !== undefined && jwk.alg !== jwkName(keyAlgorithm(algorithm, bytes))) throw fail('DataError', 'JWK "alg" does not match the requested algorithm');
    return bytes;
  }

  function importSecret(format, data, algorithm, extractable, usages) {
    usages = usagesOf(algorithm.name, usages);
    const derives = algorithm.name === 'PBKDF2' || algorithm.name === 'HKDF';
    if (format !== 'raw' && (format !== 'jwk' || derives)) throw fail('NotSupportedError', `Unable to import ${algorithm.name} key with format ${format}`);
    if (derives && extractable) throw fail('SyntaxError', `${algorithm.name} keys are not extractable`);
    const bytes = format === 'raw' ? copyOf(data, 'the key') : readJwk(data, algorithm, extractable, usages);
    return makeKey(bytes, keyAlgorithm(algorithm, bytes), extractable, usages);
  }

  function randomBytes(target) {
    const bytes = bytesOf(target);
    for (let at = 0; at < bytes.length; at += 65536) bytes.set(host.random(Math.min(65536, bytes.length - at)), at);
    return target;
  }

  function secretBits(algorithm) {
    if (algorithm.name === 'HMAC') {
      const { length = BLOCK_BITS[hashOf(algorithm.hash)] } = algorithm;
      if (!(length > 0)) throw fail('OperationError', 'Zero-length key is not supported');
      return length;
    }
    if (!isAesLength(algorithm.length)) throw fail('OperationError', 'Invalid key length');
    return algorithm.length;
  }

  function generateSecret(algorithm, extractable, usages) {
    if (algorithm.name === 'PBKDF2' || algorithm.name === 'HKDF') throw notSupported(algorithm.name, 'make keys');
    usages = usagesOf(algorithm.name, usages);
    const bytes = randomBytes(new Uint8Array(Math.ceil(secretBits(algorithm) / 8)));
    return makeKey(bytes, keyAlgorithm(algorithm, bytes), extractable, usages);
  }

  function exportSecret(format, key) {
    if (!(key instanceof CryptoKey)) throw withCode(new TypeError('the key must be a CryptoKey'), 'ERR_INVALID_ARG_TYPE');
    if (!key.extractable) throw fail('InvalidAccessError', 'key is not extractable');
    const secret = secretOf(key);
    if (format === 'raw') return secret.slice().buffer;
    if (format !== 'jwk') throw fail('NotSupportedError', `Unable to export a raw ${key.algorithm.name} key with format ${format}`);
    return { key_ops: [...key.usages], ext: true, kty: 'oct', k: host.decodeText(secret, TEXT_BASE64URL, 0), alg: jwkName(key.algorithm) };
  }

  function runAes(encrypts, algorithm, key, data) {
    const mode = AES_MODES.indexOf(algorithm.name);
    if (mode < 0) throw notSupported(algorithm.name, encrypts ? 'encrypt' : 'decrypt');
    const secret = needKey(key, algorithm.name, encrypts ? 'encrypt' : 'decrypt');
    const iv = needBytes(mode === CTR ? algorithm.counter : algorithm.iv, mode === CTR ? 'counter' : 'iv');
    if (mode !== GCM && iv.length !== 16) throw fail('OperationError', `the ${mode === CTR ? 'counter' : 'iv'} of ${algorithm.name} must have 16 bytes`);
    const { tagLength = 128, length } = algorithm;
    if (mode === GCM && ![32, 64, 96, 104, 112, 120, 128].includes(tagLength)) throw fail('OperationError', `${tagLength} is not a valid AES-GCM tag length`);
    if (mode === CTR && !(length > 0 && length <= 128)) throw fail('OperationError', 'AES-CTR algorithm.length must be between 1 and 128');
    const more = algorithm.additionalData === undefined || mode !== GCM ? EMPTY : needBytes(algorithm.additionalData, 'additionalData');
    const out = host.aes(mode, encrypts, secret, iv, needBytes(data, 'the data'), more, mode === GCM ? tagLength / 8 : mode === CTR ? length : 0);
    if (out === undefined) throw fail('OperationError', 'The operation failed for an operation-specific reason');
    return out.buffer;
  }

  function deriveBits(algorithm, key, length, usage) {
    const { name } = algorithm;
    if (name !== 'PBKDF2' && name !== 'HKDF') throw notSupported(name, 'derive bits');
    const secret = needKey(key, name, usage);
    const hash = hashOf(algorithm.hash);
    if (length === null || length === undefined) throw fail('OperationError', 'length cannot be null');
    if (length % 8 !== 0) throw fail('OperationError', 'length must be a multiple of 8');
    const salt = needBytes(algorithm.salt, 'salt');
    if (name === 'PBKDF2' && !(algorithm.iterations > 0)) throw fail('OperationError', 'iterations cannot be zero');
    const out = name === 'HKDF' ? host.hkdf(hash, secret, salt, needBytes(algorithm.info, 'info'), length / 8)
      : host.pbkdf2(hash, secret, salt, algorithm.iterations, length / 8);
    if (out === undefined) throw fail('OperationError', name === 'HKDF' ? 'so many bits cannot be derived' : 'so many iterations for so many bits are more than a call may compute');
    return out.buffer;
  }

  function signBytes(algorithm, key, data) {
    if (algorithm.name !== 'HMAC') throw notSupported(algorithm.name, 'sign');
    return host.hmac(HASHES.indexOf(key.algorithm.hash.name), secretOf(key), needBytes(data, 'the data'));
  }

  let subtleMade = false;

  class SubtleCrypto {
    constructor() {
      if (subtleMade) throw illegalConstructor();
      subtleMade = true;
    }

    async digest(algorithm, data) {
      needArguments(arguments.length, 2, 'digest');
      const { name } = algorithmOf(algorithm);
      if (!HASHES.includes(name)) throw notSupported(name, 'digest');
      return host.digest(HASHES.indexOf(name), needBytes(data, 'the data')).buffer;
    }

    async importKey(format, data, algorithm, extractable, usages) {
      needArguments(arguments.length, 5, 'importKey');
      return importSecret(format, data, algorithmOf(algorithm), extractable, usages);
    }

    async exportKey(format, key) {
      needArguments(arguments.length, 2, 'exportKey');
      return exportSecret(format, key);
    }

    async generateKey(algorithm, extractable, usages) {
      needArguments(arguments.length, 3, 'generateKey');
      return generateSecret(algorithmOf(algorithm), extractable, usages);
    }

    async sign(algorithm, key, data) {
      needArguments(arguments.length, 3, 'sign');
      const { name } = algorithmOf(algorithm);
      needKey(key, name, 'sign');
      return signBytes({ name }, key, data).buffer;
    }

    async verify(algorithm, key, signature, data) {
      needArguments(arguments.length, 4, 'verify');
      const { name } = algorithmOf(algorithm);
      needKey(key, name, 'verify');
      return host.sameBytes(signBytes({ name }, key, data), needBytes(signature, 'the signature'));
    }

    async encrypt(algorithm, key, data) {
      needArguments(arguments.length, 3, 'encrypt');
      return runAes(true, algorithmOf(algorithm), key, data);
    }

    async decrypt(algorithm, key, data) {
      needArguments(arguments.length, 3, 'decrypt');
      return runAes(false, algorithmOf(algorithm), key, data);
    }

    async deriveBits(algorithm, key, length = null) {
      needArguments(arguments.length, 2, 'deriveBits');
      return deriveBits(algorithmOf(algorithm), key, length, 'deriveBits');
    }

    async deriveKey(algorithm, key, derived, extractable, usages) {
      needArguments(arguments.length, 5, 'deriveKey');
      const wanted = algorithmOf(derived);
      const bits = deriveBits(algorithmOf(algorithm), key, secretBits(wanted), 'deriveKey');
      return importSecret('raw', bits, wanted, extractable, usages);
    }

    async wrapKey(format, key, wrapping, algorithm) {
      throw notSupported(algorithmOf(algorithm).name, 'wrap keys');
    }

    async unwrapKey(format, wrapped, unwrapping, algorithm) {
      throw notSupported(algorithmOf(algorithm).name, 'unwrap keys');
    }
  }
  exposeClass('SubtleCrypto', SubtleCrypto);
  const subtle = new SubtleCrypto();

  let cryptoMade = false;
  const isIntegers = value => ArrayBuffer.isView(value) && !(value instanceof DataView || value instanceof Float32Array || value instanceof Float64Array || value instanceof Float16Array);

  class Crypto {
    constructor() {
      if (cryptoMade) throw illegalConstructor();
      cryptoMade = true;
    }

    get subtle() { return subtle; }
    randomUUID() { return host.uuid(); }

    getRandomValues(array) {
      if (!isIntegers(array)) throw fail('TypeMismatchError', 'The data argument must be an integer-type TypedArray');
      if (array.byteLength > 65536) throw fail('QuotaExceededError', `The requested length exceeds 65,536 bytes`);
      return randomBytes(array);
    }
  }
  exposeClass('Crypto', Crypto);
  exposeGlobal('crypto', new Crypto());
}
