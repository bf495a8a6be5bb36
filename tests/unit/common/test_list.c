/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_list.c: the intrusive list. */
#include "tests/lib/unit.h"

#include "common/base/list.h"

struct item {
    int number;
    struct link link;
};

/* The numbers from head on, as one decimal. */
static int digits(struct link *head)
{
    int all = 0;
    LIST_EACH(head, it, nx)
    {
        assert_ptr_equal(it->prev->next, it);
        assert_ptr_equal(it->next->prev, it);
        all = all * 10 + LIST_ENTRY(it, struct item, link)->number;
    }
    return all;
}

TEST(order)
{
    struct link head;
    struct item a = { 1, { 0 } }, b = { 2, { 0 } }, c = { 3, { 0 } };
    list_init(&head);
    assert_true(list_is_empty(&head));
    list_push_back(&head, &b.link);
    list_push_back(&head, &c.link);
    list_push_front(&head, &a.link);
    assert_int_equal(digits(&head), 123);
    assert_true(link_is_in(&b.link));
    list_remove(&b.link);
    assert_false(link_is_in(&b.link));
    assert_int_equal(digits(&head), 13);
    list_remove(&b.link); /* in no list: nothing happens */
    list_remove(&a.link);
    list_remove(&c.link);
    assert_true(list_is_empty(&head));
}

TEST(remove_while_walking)
{
    struct link head;
    struct item items[5] = {
        { 1, { 0 } }, { 2, { 0 } }, { 3, { 0 } }, { 4, { 0 } }, { 5, { 0 } }
    };
    list_init(&head);
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        list_push_back(&head, &items[i].link);
    LIST_EACH(&head, it, nx)
    if (LIST_ENTRY(it, struct item, link)->number % 2)
        list_remove(it);
    assert_int_equal(digits(&head), 24);
}

UNIT_MAIN(cmocka_unit_test(order), cmocka_unit_test(remove_while_walking))
