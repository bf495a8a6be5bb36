/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_nodes.c: paths stay right over renames and removals, and nothing is kept too long (which
 * the address sanitizer sees). */
#include "tests/lib/unit.h"

#include "mrc/agent/nodes.h"

#include <limits.h>
#include <stdio.h>

static void check_path(const struct node *n, const char *expected)
{
    char text[PATH_MAX];
    assert_ok(node_path(n, NULL, text, sizeof text));
    assert_string_equal(text, expected);
}

TEST(paths)
{
    struct nodes t;
    char text[PATH_MAX];
    assert_ok(nodes_init(&t));
    struct node *a = node_get(&t, &t.root, "a");
    struct node *b = node_get(&t, a, "b");
    assert_ptr_equal(node_get(&t, a, "b"), b);
    check_path(&t.root, "/");
    check_path(a, "/a");
    check_path(b, "/a/b");
    assert_ok(node_path(&t.root, "x", text, sizeof text));
    assert_string_equal(text, "/x");
    assert_ok(node_path(b, "x", text, sizeof text));
    assert_string_equal(text, "/a/b/x");
    assert_error(node_path(b, "x", text, 6), ENAMETOOLONG);
    assert_ok(node_path(b, "x", text, 7));
    node_forget(&t, a, 1); /* b still needs it */
    check_path(b, "/a/b");
    node_forget(&t, b, 2);
    assert_int_equal(t.count, 0);
    assert_int_equal(t.root.uses, 0);
    nodes_fini(&t);
}

TEST(removed)
{
    struct nodes t;
    char text[PATH_MAX];
    assert_ok(nodes_init(&t));
    struct node *a = node_get(&t, &t.root, "a");
    struct node *b = node_get(&t, a, "b");
    b->uses++;
    nodes_remove(&t, a, "b");
    nodes_remove(&t, a, "unknown");
    assert_error(node_path(b, NULL, text, sizeof text), ENOENT);
    struct node *again = node_get(&t, a, "b");
    assert_ptr_not_equal(again, b);
    node_forget(&t, b, 1);
    node_unuse(&t, b); /* gone now */
    nodes_remove(&t, &t.root, "a");
    assert_error(node_path(again, NULL, text, sizeof text), ENOENT);
    node_forget(&t, a, 1);
    node_forget(&t, again, 1);
    assert_int_equal(t.count, 0);
    nodes_fini(&t);
}

TEST(renamed)
{
    struct nodes t;
    char text[PATH_MAX];
    assert_ok(nodes_init(&t));
    struct node *a = node_get(&t, &t.root, "a");
    struct node *b = node_get(&t, a, "b");
    struct node *c = node_get(&t, &t.root, "c");
    assert_ok(nodes_rename(&t, &t.root, "a", c, "d", false));
    check_path(b, "/c/d/b");
    struct node *e = node_get(&t, &t.root, "e");
    assert_ok(nodes_rename(&t, c, "d", &t.root, "e", false)); /* over it */
    check_path(b, "/e/b");
    assert_error(node_path(e, NULL, text, sizeof text), ENOENT);
    assert_ok(nodes_rename(&t, a, "b", &t.root, "c", true));
    check_path(b, "/c");
    check_path(c, "/e/b");
    assert_ok(nodes_rename(&t, &t.root, "never seen", &t.root, "c", false));
    assert_error(node_path(b, NULL, text, sizeof text), ENOENT);
    node_forget(&t, a, 1);
    node_forget(&t, b, 1);
    node_forget(&t, c, 1);
    node_forget(&t, e, 5); /* more than was told: a wrong kernel does no harm */
    assert_int_equal(t.count, 0);
    nodes_fini(&t);
}

TEST(many)
{
    struct nodes t;
    static struct node *list[5000];
    char name[16];
    assert_ok(nodes_init(&t));
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        snprintf(name, sizeof name, "n%zu", i);
        list[i] = node_get(&t, i % 7 ? list[i / 7] : &t.root, name);
        assert_non_null(list[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        snprintf(name, sizeof name, "n%zu", i);
        assert_ptr_equal(node_get(&t, i % 7 ? list[i / 7] : &t.root, name), list[i]);
    }
    assert_int_equal(t.count, ARRAY_LEN(list));
    for (size_t i = 0; i < ARRAY_LEN(list) / 2; i++)
        node_forget(&t, list[i], 2);
    nodes_fini(&t); /* with some left */
}

UNIT_MAIN(cmocka_unit_test(paths), cmocka_unit_test(removed), cmocka_unit_test(renamed),
          cmocka_unit_test(many))
