/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_keyfile.c: the outside of key files, made here; real ones are in tests/net/mrc-ssh.sh.
 */
#include "tests/lib/unit.h"

#include "common/base/base64.h"
#include "mrc/keyfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t put_string(uint8_t *out, const void *ptr, size_t len)
{
    out[0] = out[1] = 0;
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    memcpy(out + 4, ptr, len);
    return len + 4;
}

static size_t public_of(uint8_t *out, const char *type)
{
    size_t n = put_string(out, type, strlen(type));
    return n + put_string(out + n, "0123456789abcdef", 16);
}

/* The text of an OpenSSH private key file whose private part is missing; cut bytes short. */
static void container(char *text, size_t size, const char *cipher, const char *type, size_t cut)
{
    uint8_t raw[512], blob[128];
    char coded[BASE64_SIZE(sizeof raw)];
    size_t blob_len = public_of(blob, type);
    size_t n = sizeof "openssh-key-v1";
    memcpy(raw, "openssh-key-v1", n);
    n += put_string(raw + n, cipher, strlen(cipher));
    n += put_string(raw + n, "bcrypt", 6);
    n += put_string(raw + n, "salt", 4);
    memcpy(raw + n, "\0\0\0\1", 4);
    n += 4;
    n += put_string(raw + n, blob, blob_len);
    assert_true(cut <= n);
    assert_ok(base64_encode(coded, sizeof coded, raw, n - cut));
    snprintf(
        text, size,
        "-----BEGIN OPENSSH PRIVATE KEY-----\n%.70s\n%s\n-----END OPENSSH PRIVATE KEY-----\n",
        coded, strlen(coded) > 70 ? coded + 70 : "");
}

TEST(openssh_format)
{
    char text[2048];
    struct mrc_keyfile k;
    uint8_t blob[128];
    container(text, sizeof text, "none", "ssh-ed25519", 0);
    assert_ok(mrc_keyfile_parse(text, strlen(text), &k));
    assert_string_equal(k.type, "ssh-ed25519");
    assert_false(k.is_encrypted);
    assert_int_equal(k.blob_len, public_of(blob, "ssh-ed25519"));
    assert_memory_equal(k.blob, blob, k.blob_len);
    container(text, sizeof text, "aes256-ctr", "sk-ssh-ed25519@openssh.com", 0);
    assert_ok(mrc_keyfile_parse(text, strlen(text), &k));
    assert_string_equal(k.type, "sk-ssh-ed25519@openssh.com");
    assert_true(k.is_encrypted);
}

TEST(every_cut_is_refused)
{
    for (size_t cut = 1; cut < 80; cut++) {
        char text[2048];
        struct mrc_keyfile k;
        container(text, sizeof text, "none", "ssh-ed25519", cut);
        assert_error(mrc_keyfile_parse(text, strlen(text), &k), EPROTO);
    }
}

TEST(other_formats)
{
    static const struct {
        const char *text, *type;
        bool is_encrypted;
    } cases[] = {
        { "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", "ssh-rsa", false },
        { "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA\n",
          "ssh-rsa", true },
        { "-----BEGIN EC PRIVATE KEY-----\nAAAA\n", "", false },
        { "junk before\n-----BEGIN PRIVATE KEY-----\nAAAA\n", "", false },
        { "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n", "", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mrc_keyfile k;
        assert_ok(mrc_keyfile_parse(cases[i].text, strlen(cases[i].text), &k));
        assert_string_equal(k.type, cases[i].type);
        assert_int_equal(k.is_encrypted, cases[i].is_encrypted);
        assert_int_equal(k.blob_len, 0);
    }
    static const char *const none[] = { "", "x", "-----BEGIN ",
                                        "-----BEGIN CERTIFICATE-----\nAA\n",
                                        "-----BEGIN OPENSSH PRIVATE KEY-----\nno dash" };
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct mrc_keyfile k;
        assert_error(mrc_keyfile_parse(none[i], strlen(none[i]), &k), EPROTO);
    }
}

TEST(public_lines)
{
    uint8_t blob[128];
    char coded[256], line[512];
    struct mrc_keyfile k = { 0 };
    assert_ok(base64_encode(coded, sizeof coded, blob, public_of(blob, "ssh-ed25519")));
    snprintf(line, sizeof line, "ssh-ed25519 %s a comment\n", coded);
    assert_ok(mrc_keyfile_parse_public(line, strlen(line), &k));
    assert_string_equal(k.type, "ssh-ed25519");
    snprintf(line, sizeof line, "ssh-rsa %s\n", coded); /* says one thing and is another */
    assert_error(mrc_keyfile_parse_public(line, strlen(line), &k), EPROTO);
    assert_error(mrc_keyfile_parse_public("ssh-rsa", 7, &k), EPROTO);
    assert_error(mrc_keyfile_parse_public("", 0, &k), EPROTO);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

TEST(files)
{
    char dir[] = "/tmp/test_keyfile.XXXXXX", path[64], pub[80], text[2048], coded[256],
         line[512];
    uint8_t blob[128];
    struct mrc_keyfile k;
    bool is_private;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/key", dir);
    snprintf(pub, sizeof pub, "%s.pub", path);
    assert_error(mrc_keyfile_read(path, &k, &is_private), ENOENT);
    container(text, sizeof text, "none", "ssh-ed25519", 0);
    write_file(path, text, 0600);
    assert_ok(mrc_keyfile_read(path, &k, &is_private));
    assert_true(is_private);
    assert_int_equal(chmod(path, 0640), 0);
    assert_error(mrc_keyfile_read(path, &k, &is_private), EACCES);
    /* What the private file doesn't tell, the public one does. */
    assert_ok(base64_encode(coded, sizeof coded, blob, public_of(blob, "ecdsa-sha2-nistp256")));
    snprintf(line, sizeof line, "ecdsa-sha2-nistp256 %s\n", coded);
    write_file(pub, line, 0644);
    write_file(path, "-----BEGIN EC PRIVATE KEY-----\nAAAA\n", 0600);
    assert_ok(mrc_keyfile_read(path, &k, &is_private));
    assert_true(is_private);
    assert_string_equal(k.type, "ecdsa-sha2-nistp256");
    unlink(path);
    assert_ok(mrc_keyfile_read(path, &k, &is_private));
    assert_false(is_private);
    assert_true(k.blob_len > 0);
    assert_ok(mrc_keyfile_read(pub, &k, &is_private));
    assert_false(is_private);
    unlink(pub);
    rmdir(dir);
}

UNIT_MAIN(cmocka_unit_test(openssh_format), cmocka_unit_test(every_cut_is_refused),
          cmocka_unit_test(other_formats), cmocka_unit_test(public_lines),
          cmocka_unit_test(files))
