/*
 * _polyvisor.c - include/polyvisor.h for Python: one process, one handle, which lives as long.
 *
 * Limited API of 3.9, so that one file serves every later version. A fault raises OSError with the
 * library's sentence; a named outcome is False or None. Calls that wait give up the GIL.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include "polyvisor.h"

static pv_handle *handle;

static PyObject *answer(int r)
{
	if (r >= 0)
		return PyBool_FromLong(r == 0);
	PyErr_SetString(PyExc_OSError, pv_last_error(handle));
	return NULL;
}

/* Text from outside may be anything: what is not UTF-8 stays as os.fsdecode() would have it. */
static PyObject *text_or_none(const char *text)
{
	if (!text)
		Py_RETURN_NONE;
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
}

static PyObject *py_open(PyObject *Py_UNUSED(self), PyObject *args)
{
	const char *version;
	int r;

	if (!PyArg_ParseTuple(args, "s", &version))
		return NULL;
	r = pv_open(&handle);
	return answer(r < 0 ? r : pv_set_runtime_version(handle, version));
}

/* rehearse(True), rehearse(False) */
static PyObject *py_rehearse(PyObject *Py_UNUSED(self), PyObject *begin)
{
	return answer(pv_rehearse(handle, PyObject_IsTrue(begin)));
}

/* None is a fault that the supervisor has heard of; else whether this process is a clone. */
static PyObject *py_template(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
	int r;

	Py_BEGIN_ALLOW_THREADS;
	r = pv_template(handle);
	Py_END_ALLOW_THREADS;
	if (r < 0)
		Py_RETURN_NONE;
	return PyBool_FromLong(pv_is_clone(handle));
}

/* get("function" or "invocation", attribute), get("environment", index) */
static PyObject *py_get(PyObject *Py_UNUSED(self), PyObject *args)
{
	const char *of, *name;

	if (!PyArg_ParseTuple(args, "ss", &of, &name))
		return NULL;
	if (of[0] == 'e')
		return text_or_none(pv_environment(handle, strtoul(name, NULL, 10)));
	return text_or_none(of[0] == 'f' ? pv_function(handle, name) : pv_invocation(handle, name));
}

/* event() is the next event, event(index) a warm-up event; None when there is none. */
static PyObject *py_event(PyObject *Py_UNUSED(self), PyObject *args)
{
	Py_ssize_t index = -1;
	const void *event;
	size_t size;
	int r;

	if (!PyArg_ParseTuple(args, "|n", &index))
		return NULL;
	Py_BEGIN_ALLOW_THREADS;
	r = index < 0 ? pv_next(handle, &event, &size)
		      : pv_warmup(handle, (size_t)index, &event, &size);
	Py_END_ALLOW_THREADS;
	if (r == PV_CLOSED || r == -ENOENT)
		Py_RETURN_NONE;
	return r < 0 ? answer(r) : PyBytes_FromStringAndSize(event, (Py_ssize_t)size);
}

/* send("reply", content type or None, data); send("fail" or "init", error type, JSON);
 * send("note", None, text) */
static PyObject *py_send(PyObject *Py_UNUSED(self), PyObject *args)
{
	const char *what, *type, *data;
	Py_ssize_t size;
	int r;

	if (!PyArg_ParseTuple(args, "szy#", &what, &type, &data, &size))
		return NULL;
	Py_BEGIN_ALLOW_THREADS;
	if (what[0] == 'r')
		r = pv_reply(handle, data, (size_t)size, type);
	else if (what[0] == 'f')
		r = pv_fail(handle, type, data, (size_t)size);
	else if (what[0] == 'i')
		r = pv_init_failed(handle, type, data, (size_t)size);
	else
		r = pv_note(handle, data);
	Py_END_ALLOW_THREADS;
	return answer(r);
}

/* The known children come as the bytes of an array of ints. */
static PyObject *py_reap(PyObject *Py_UNUSED(self), PyObject *args)
{
	const char *known;
	Py_ssize_t size;

	if (!PyArg_ParseTuple(args, "y#", &known, &size))
		return NULL;
	return answer(pv_reap(handle, (const int *)known, (size_t)size / sizeof(int)));
}

static PyMethodDef methods[] = {
	{ "open", py_open, METH_VARARGS, NULL },
	{ "rehearse", py_rehearse, METH_O, NULL },
	{ "template", py_template, METH_NOARGS, NULL },
	{ "get", py_get, METH_VARARGS, NULL },
	{ "event", py_event, METH_VARARGS, NULL },
	{ "send", py_send, METH_VARARGS, NULL },
	{ "reap", py_reap, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "_polyvisor", NULL, -1, methods, NULL,
	NULL, NULL, NULL };

PyMODINIT_FUNC PyInit__polyvisor(void);
PyMODINIT_FUNC PyInit__polyvisor(void)
{
	return PyModule_Create(&module);
}
