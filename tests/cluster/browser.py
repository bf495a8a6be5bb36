# SPDX-License-Identifier: GPL-2.0-or-later
"""browser.py: headless Chromium by its debugging pipe, with nothing but Python's own modules.

    with Browser() as b:
        page = b.page(360, 800, scheme='dark')
        page.go('http://127.0.0.1:7723/')
        page.wait('document.querySelector("#rows tr")')
        page.shot('x.png')
"""
import base64, json, os, select, shutil, signal, subprocess, tempfile, time


class Browser:
    def __init__(self):
        program = next(p for p in ('chromium', 'chromium-browser', 'google-chrome') if shutil.which(p))
        self.home = tempfile.mkdtemp(prefix='mosweb-browser-')
        to_r, self.to = os.pipe()
        self.from_, from_w = os.pipe()

        def there():
            a, b = os.dup(to_r), os.dup(from_w)
            os.dup2(a, 3)
            os.dup2(b, 4)

        os.set_inheritable(to_r, True)
        os.set_inheritable(from_w, True)
        self.process = subprocess.Popen(
            [program, '--headless=new', '--remote-debugging-pipe', '--no-sandbox', '--no-first-run', '--disable-gpu', '--disable-extensions',
             '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--mute-audio',
             '--disable-dev-shm-usage', '--force-color-profile=srgb', '--user-data-dir=' + self.home, 'about:blank'],
            preexec_fn=there, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_r)
        os.close(from_w)
        self.next, self.text, self.events = 0, b'', []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)  # a group of its own
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def read(self, until):
        while b'\0' not in self.text:
            if not select.select([self.from_], [], [], max(0, until - time.time()))[0]:
                raise TimeoutError('the browser does not answer')
            piece = os.read(self.from_, 1 << 20)
            if not piece:
                raise EOFError('the browser has ended')
            self.text += piece
        one, self.text = self.text.split(b'\0', 1)
        return json.loads(one)

    def call(self, method, session=None, **parameters):
        self.next += 1
        message = {'id': self.next, 'method': method, 'params': parameters}
        if session:
            message['sessionId'] = session
        os.write(self.to, json.dumps(message).encode() + b'\0')
        until = time.time() + 60
        while True:
            answer = self.read(until)
            if answer.get('id') == self.next:
                if 'error' in answer:
                    raise RuntimeError(method + ': ' + answer['error']['message'])
                return answer['result']
            if 'method' in answer:
                self.events.append(answer)

    def page(self, width, height, scheme='light', motion='no-preference', scale=1, mobile=False):
        return Page(self, width, height, scheme, motion, scale, mobile)


class Page:
    def __init__(self, browser, width, height, scheme, motion, scale, mobile):
        self.browser = browser
        target = browser.call('Target.createTarget', url='about:blank')['targetId']
        self.session = browser.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(domain + '.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=scale, mobile=mobile)
        self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}, {'name': 'prefers-reduced-motion', 'value': motion}])

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def go(self, url):
        self.call('Page.navigate', url=url)

    def value(self, expression):
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in answer:
            raise RuntimeError(expression + ': ' + json.dumps(answer['exceptionDetails'])[:400])
        return answer['result'].get('value')

    def wait(self, expression, seconds=20):
        until = time.time() + seconds
        while not self.value('!!(' + expression + ')'):
            if time.time() > until:
                raise TimeoutError('never true: ' + expression)
            time.sleep(0.1)

    def key(self, key, text=None):
        for kind in ('keyDown', 'keyUp'):
            more = {'text': text} if text and kind == 'keyDown' else {}
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key, windowsVirtualKeyCode={'Tab': 9, 'Enter': 13, 'Escape': 27}.get(key, 0), **more)

    def shot(self, path, whole=False):
        form = {'format': 'webp', 'quality': 70} if path.endswith('.webp') else {'format': 'png'}
        picture = self.call('Page.captureScreenshot', captureBeyondViewport=whole, **form)
        with open(path, 'wb') as f:
            f.write(base64.b64decode(picture['data']))

    def complaints(self):
        """What the page's console and the browser have said."""
        said = []
        for e in self.browser.events:
            if e.get('sessionId') != self.session:
                continue
            if e['method'] == 'Runtime.exceptionThrown':
                said.append(json.dumps(e['params']['exceptionDetails'])[:400])
            elif e['method'] == 'Log.entryAdded':
                said.append(e['params']['entry']['text'])
            elif e['method'] == 'Runtime.consoleAPICalled':
                said.append(json.dumps(e['params'].get('args'))[:200])
        return said
