"""Prints [name, hash, made by] of each form that a Python library writes. Arguments: the password."""
import base64, hashlib, hmac, json, sys
from importlib.metadata import version

import argon2, bcrypt, django
from django.conf import settings

HASHERS = ['PBKDF2', 'PBKDF2SHA1', 'Argon2', 'BCryptSHA256', 'BCrypt', 'Scrypt']
settings.configure(PASSWORD_HASHERS=[f'django.contrib.auth.hashers.{name}PasswordHasher' for name in HASHERS])
django.setup()
from django.contrib.auth import hashers
from passlib import hash as passlib
from werkzeug.security import generate_password_hash

password = sys.argv[1]
rows = []


def add(name, text, package):
    made_by = f'Python {sys.version.split()[0]}' if package == 'hashlib' else f'{package} {version(package)}'
    rows.append([name, text, made_by])


def quick(hasher, **parameters):
    return type(hasher.__name__, (hasher,), parameters)()


def salted(hasher):
    return hasher.encode(password, hasher.salt())


plain = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
for name, prefix in (('bcrypt $2b$ (Auth0, Node)', '$2b$'), ('bcrypt $2y$ (Laravel)', '$2y$'), ('bcrypt $2a$ (Devise)', '$2a$'),
                     ('Dovecot {BLF-CRYPT}', '{BLF-CRYPT}$2y$'), ('LDAP {CRYPT}', '{CRYPT}$2b$')):
    add(name, prefix + plain[4:], 'bcrypt')

add('Django argon2', salted(quick(hashers.Argon2PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)), 'django')
add('Django bcrypt', salted(quick(hashers.BCryptPasswordHasher, rounds=4)), 'django')
add('Django bcrypt_sha256', salted(quick(hashers.BCryptSHA256PasswordHasher, rounds=4)), 'django')
add('Django scrypt', salted(quick(hashers.ScryptPasswordHasher, work_factor=1024)), 'django')
add('Django pbkdf2_sha256', hashers.PBKDF2PasswordHasher().encode(password, 'saltsalt', 1000), 'django')
add('Django pbkdf2_sha1', hashers.PBKDF2SHA1PasswordHasher().encode(password, 'saltsalt', 1000), 'django')

for kind in ('I', 'D', 'ID'):
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=2, type=getattr(argon2.Type, kind))
    add(f'argon2{kind.lower()} (PHP, Laravel)', hasher.hash(password), 'argon2-cffi')
old = argon2.low_level.hash_secret(password.encode(), b'0123456789abcdef', 1, 64, 1, 32, argon2.Type.I, version=16)
add('argon2i of version 16', old.decode(), 'argon2-cffi')

add('Werkzeug pbkdf2', generate_password_hash(password, method='pbkdf2:sha256:1000'), 'werkzeug')
add('Werkzeug scrypt', generate_password_hash(password, method='scrypt:1024:8:1'), 'werkzeug')

for name in ('pbkdf2_sha1', 'pbkdf2_sha256', 'pbkdf2_sha512', 'ldap_pbkdf2_sha1', 'ldap_pbkdf2_sha256', 'ldap_pbkdf2_sha512'):
    add(f'passlib {name}', getattr(passlib, name).using(rounds=1000).hash(password), 'passlib')
add('passlib bcrypt_sha256, version 1', passlib.bcrypt_sha256.using(version=1, rounds=4).hash(password), 'passlib')
add('passlib bcrypt_sha256, version 2', passlib.bcrypt_sha256.using(rounds=4).hash(password), 'passlib')
add('passlib scrypt', passlib.scrypt.using(rounds=10).hash(password), 'passlib')
add('passlib argon2', passlib.argon2.using(type='ID', rounds=1, memory_cost=64, parallelism=1).hash(password), 'passlib')
add('Atlassian', passlib.atlassian_pbkdf2_sha1.hash(password), 'passlib')
add('phpass $P$ (WordPress)', passlib.phpass.using(rounds=7).hash(password), 'passlib')
add('phpass $H$ (phpBB)', passlib.phpass.using(rounds=7, ident='H').hash(password), 'passlib')
add('sha512-crypt', passlib.sha512_crypt.using(rounds=5000).hash(password), 'passlib')
add('sha512-crypt with rounds', passlib.sha512_crypt.using(rounds=1001).hash(password), 'passlib')
add('sha256-crypt', passlib.sha256_crypt.using(rounds=5000).hash(password), 'passlib')
add('sha256-crypt with rounds', passlib.sha256_crypt.using(rounds=1004).hash(password), 'passlib')
add('Dovecot {SHA512-CRYPT}', '{SHA512-CRYPT}' + passlib.sha512_crypt.using(rounds=1000).hash(password), 'passlib')
add('LDAP {SSHA512}', passlib.ldap_salted_sha512.hash(password), 'passlib')

# By the documented layout: these systems are not Python.
wordpress = base64.b64encode(hmac.new(b'wp-sha384', password.encode(), hashlib.sha384).digest())
add('WordPress 6.8', '$wp$2y$' + bcrypt.hashpw(wordpress, bcrypt.gensalt(4)).decode()[4:], 'bcrypt')


def keycloak(algorithm, iterations, value, **additional):
    encode = lambda raw: base64.b64encode(raw).decode()
    secret = {'value': encode(value), 'salt': encode(b'0123456789abcdef'), 'additionalParameters': {}}
    data = {'hashIterations': iterations, 'algorithm': algorithm, 'additionalParameters': additional}
    return json.dumps({'type': 'password', 'secretData': json.dumps(secret), 'credentialData': json.dumps(data)})


salt = b'0123456789abcdef'
for name, digest in (('pbkdf2', 'sha1'), ('pbkdf2-sha256', 'sha256'), ('pbkdf2-sha512', 'sha512')):
    derived = hashlib.pbkdf2_hmac(digest, password.encode(), salt, 1000, 64)
    add(f'Keycloak {name}', keycloak(name, 1000, derived), 'hashlib')
raw = argon2.low_level.hash_secret_raw(password.encode(), salt, 1, 64, 1, 32, argon2.Type.ID)
parameters = {'hashLength': ['32'], 'memory': ['64'], 'type': ['id'], 'version': ['1.3'], 'parallelism': ['1']}
add('Keycloak argon2', keycloak('argon2', 1, raw, **parameters), 'argon2-cffi')
padded = base64.b64encode(hashlib.pbkdf2_hmac('sha256', password.encode(), salt, 1000, 64)).decode()
add('Keycloak pbkdf2-sha256 with padding', f'$pbkdf2-sha256$1000${base64.b64encode(salt).decode()}${padded}', 'hashlib')
ory = base64.b64encode(hashlib.scrypt(password.encode(), salt=salt, n=1024, r=8, p=1, dklen=32)).decode()
add('Ory scrypt', f'$scrypt$ln=1024,r=8,p=1${base64.b64encode(salt).decode()}${ory}', 'hashlib')
print(json.dumps(rows))
