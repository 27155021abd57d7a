// Drives a supervisor with the AWS SDK for JavaScript and prints what it saw as JSON.
// usage: client.mjs ENDPOINT ARCHIVE
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

// The SDK is where NODE_PATH says, which only CommonJS looks at.
const sdk = createRequire(import.meta.url)('@aws-sdk/client-lambda');
const [endpoint, archive] = process.argv.slice(2);
const client = new sdk.LambdaClient({
	endpoint, region: 'us-east-1', maxAttempts: 1,
	credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});
const send = (name, input) => client.send(new sdk[name + 'Command'](input));
const text = (bytes) => Buffer.from(bytes).toString();
const failure = async (name, input) => {
	try {
		await send(name, input);
		return null;
	} catch (error) {
		return [error.name, error.$metadata?.httpStatusCode, error.message];
	}
};

const FunctionName = 'sdk', ZipFile = readFileSync(archive), saw = {};
const create = { FunctionName, Runtime: 'python3.11', Handler: 'index.handler', Role: 'any', Timeout: 5 };
saw.created = (await send('CreateFunction', { ...create, Code: { ZipFile } })).FunctionArn;
await sdk.waitUntilFunctionActiveV2({ client, maxWaitTime: 10, minDelay: 1 }, { FunctionName });
saw.got = (await send('GetFunction', { FunctionName })).Configuration.State;
saw.listed = (await send('ListFunctions', {})).Functions.map((f) => f.FunctionName);
const invoked = await send('Invoke', { FunctionName, Payload: '{"a":"é"}', LogType: 'Tail' });
saw.invoked = [invoked.StatusCode, JSON.parse(text(invoked.Payload)), invoked.ExecutedVersion];
saw.log = Buffer.from(invoked.LogResult, 'base64').toString().includes('REPORT RequestId');
const failed = await send('Invoke', { FunctionName, Payload: '{"do":"fail"}' });
saw.failed = [failed.FunctionError, JSON.parse(text(failed.Payload)).errorType];
saw.event = (await send('Invoke', { FunctionName, InvocationType: 'Event', Payload: '1' })).StatusCode;
saw.streamed = [];
const stream = await send('InvokeWithResponseStream', { FunctionName, Payload: '"streamed"' });
for await (const event of stream.EventStream)
	saw.streamed.push(event.PayloadChunk ? text(event.PayloadChunk.Payload) : Object.keys(event)[0]);
saw.updated = (await send('UpdateFunctionConfiguration', { FunctionName, MemorySize: 256 })).MemorySize;
await send('TagResource', { Resource: saw.created, Tags: { a: '1' } });
saw.tags = (await send('ListTags', { Resource: saw.created })).Tags;
saw.url = (await send('CreateFunctionUrlConfig', { FunctionName, AuthType: 'NONE' })).FunctionUrl;
saw.errors = {
	conflict: await failure('CreateFunction', { ...create, Code: { ZipFile } }),
	parameter: await failure('UpdateFunctionConfiguration', { FunctionName, Timeout: 901 }),
	archive: await failure('UpdateFunctionCode', { FunctionName, ZipFile: Buffer.from('no zip') }),
	json: await failure('Invoke', { FunctionName, Payload: '{' }),
	revision: await failure('UpdateFunctionConfiguration', { FunctionName, RevisionId: 'x' }),
	large: await failure('Invoke', { FunctionName, Payload: '"' + 'x'.repeat(6291456) + '"' }),
};
saw.deleted = (await send('DeleteFunction', { FunctionName })).$metadata.httpStatusCode;
saw.errors.gone = await failure('GetFunction', { FunctionName });
console.log(JSON.stringify(saw));
